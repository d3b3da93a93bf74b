//! What the frames of the log say.

use serde::{Deserialize, Serialize};

use crate::codec::{self, Unreadable};
use crate::types::{Entry, LogId};

/// The log's state where a file of it begins, so that the files before it can go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Start {
    /// The index of the entry that would come next.
    pub(super) next: u64,
    pub(super) purged: Option<LogId>,
    pub(super) committed: Option<LogId>,
}

/// One frame's content.
pub(super) enum Record {
    /// The first of each file.
    Start(Start),
    /// An entry; its payload is read when it is wanted.
    Entry(LogId),
    /// The entries from this index on are none: another leader's come in their place.
    Truncate(u64),
    /// All up to here are agreed on. Written along with the next entries.
    Committed(LogId),
    /// All up to here are in a snapshot, and gone.
    Purged(LogId),
}

const START: u8 = 0;
const ENTRY: u8 = 1;
const TRUNCATE: u8 = 2;
const COMMITTED: u8 = 3;
const PURGED: u8 = 4;

impl Record {
    pub(super) fn write(&self) -> Result<Vec<u8>, Unreadable> {
        let mut out = Vec::new();
        match self {
            Self::Start(start) => {
                out.push(START);
                out.extend(serde_json::to_vec(start).map_err(Unreadable::new)?);
            }
            Self::Entry(id) => {
                out.push(ENTRY);
                codec::put_id(id, &mut out);
            }
            Self::Truncate(index) => {
                out.push(TRUNCATE);
                out.extend_from_slice(&index.to_le_bytes());
            }
            Self::Committed(id) => {
                out.push(COMMITTED);
                codec::put_id(id, &mut out);
            }
            Self::Purged(id) => {
                out.push(PURGED);
                codec::put_id(id, &mut out);
            }
        }
        Ok(out)
    }

    pub(super) fn read(plain: &[u8]) -> Result<Self, Unreadable> {
        let Some((tag, rest)) = plain.split_first() else {
            return Err(Unreadable("an empty frame".into()));
        };
        match *tag {
            START => serde_json::from_slice(rest)
                .map(Self::Start)
                .map_err(Unreadable::new),
            ENTRY => Ok(Self::Entry(codec::take_id(rest)?.0)),
            TRUNCATE => Ok(Self::Truncate(codec::take_number(rest)?.0)),
            COMMITTED => Ok(Self::Committed(codec::take_id(rest)?.0)),
            PURGED => Ok(Self::Purged(codec::take_id(rest)?.0)),
            other => Err(Unreadable(format!("a frame of unknown kind {other}"))),
        }
    }
}

/// The frame of an entry.
pub(super) fn write_entry(entry: &Entry) -> Result<Vec<u8>, Unreadable> {
    let mut out = vec![ENTRY];
    codec::put_entry(entry, &mut out)?;
    Ok(out)
}

/// The entry of a frame.
pub(super) fn read_entry(plain: &[u8]) -> Result<Entry, Unreadable> {
    match plain.split_first() {
        Some((&ENTRY, rest)) => codec::take_entry(rest),
        _ => Err(Unreadable("this is no entry".into())),
    }
}
