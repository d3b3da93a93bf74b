//! What managers say to one another.
//!
//! ```text
//! request  = version:u8 kind:u8 length:u32 json:[length] rest
//! response = 0 json | 1 json (the snapshot's parts do not fit together) | 2 text (it cannot answer)
//! ```
//!
//! The rest is an entry after the other with its length, packed as it is on disk, or a part of a snapshot.

use openraft::error::InstallSnapshotError;
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Unreadable};
use crate::types::{LogId, SnapshotMeta, Types, Vote};

const VERSION: u8 = 1;

const APPEND: u8 = 1;
const VOTE: u8 = 2;
const SNAPSHOT: u8 = 3;
const PING: u8 = 4;
const ELECT: u8 = 5;
const LEAVE: u8 = 6;

/// A request.
pub(crate) enum Request {
    /// Entries, or none: the leader is there.
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<u64>),
    /// A part of a snapshot.
    Snapshot(InstallSnapshotRequest<Types>),
    /// Is it there?
    Ping,
    /// The leader goes: stand for election.
    Elect,
    /// Who led until now is not to count any more; it is still told everything, or not.
    Leave {
        id: u64,
        retain: bool,
    },
}

#[derive(Serialize, Deserialize)]
struct Append {
    vote: Vote,
    prev: Option<LogId>,
    commit: Option<LogId>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    vote: Vote,
    meta: SnapshotMeta,
    offset: u64,
    done: bool,
}

type Result<T> = std::result::Result<T, Unreadable>;

fn length(of: usize) -> Result<[u8; 4]> {
    u32::try_from(of)
        .map(u32::to_le_bytes)
        .map_err(Unreadable::new)
}

fn begin(kind: u8, json: &impl Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(json).map_err(Unreadable::new)?;
    let mut out = vec![VERSION, kind];
    out.extend_from_slice(&length(json.len())?);
    out.extend_from_slice(&json);
    Ok(out)
}

/// Splits off what has its length before it.
fn part(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let short = || Unreadable("a message ends too early".into());
    let (length, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    let length = u32::from_le_bytes(*length) as usize;
    rest.split_at_checked(length).ok_or_else(short)
}

impl Request {
    pub(crate) fn write(&self) -> Result<Vec<u8>> {
        match self {
            Self::Append(request) => {
                let start = Append {
                    vote: request.vote,
                    prev: request.prev_log_id,
                    commit: request.leader_commit,
                };
                let mut out = begin(APPEND, &start)?;
                for entry in &request.entries {
                    let at = out.len();
                    out.extend_from_slice(&[0; 4]);
                    codec::put_entry(entry, &mut out)?;
                    let length = length(out.len() - at - 4)?;
                    out[at..at + 4].copy_from_slice(&length);
                }
                Ok(out)
            }
            Self::Vote(request) => begin(VOTE, request),
            Self::Snapshot(request) => {
                let start = Part {
                    vote: request.vote,
                    meta: request.meta.clone(),
                    offset: request.offset,
                    done: request.done,
                };
                let mut out = begin(SNAPSHOT, &start)?;
                out.extend_from_slice(&request.data);
                Ok(out)
            }
            Self::Ping => begin(PING, &()),
            Self::Elect => begin(ELECT, &()),
            Self::Leave { id, retain } => begin(LEAVE, &(id, retain)),
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let [version, kind, rest @ ..] = bytes else {
            return Err(Unreadable("an empty message".into()));
        };
        if *version != VERSION {
            return Err(Unreadable(format!("a message of version {version}")));
        }
        let (json, mut rest) = part(rest)?;
        match *kind {
            APPEND => {
                let start: Append = parse(json)?;
                let mut entries = Vec::new();
                while !rest.is_empty() {
                    let (entry, others) = part(rest)?;
                    entries.push(codec::take_entry(entry)?);
                    rest = others;
                }
                Ok(Self::Append(AppendEntriesRequest {
                    vote: start.vote,
                    prev_log_id: start.prev,
                    entries,
                    leader_commit: start.commit,
                }))
            }
            VOTE => parse(json).map(Self::Vote),
            SNAPSHOT => {
                let start: Part = parse(json)?;
                Ok(Self::Snapshot(InstallSnapshotRequest {
                    vote: start.vote,
                    meta: start.meta,
                    offset: start.offset,
                    data: rest.to_vec(),
                    done: start.done,
                }))
            }
            PING => Ok(Self::Ping),
            ELECT => Ok(Self::Elect),
            LEAVE => parse(json).map(|(id, retain)| Self::Leave { id, retain }),
            other => Err(Unreadable(format!("a message of unknown kind {other}"))),
        }
    }
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(Unreadable::new)
}

/// What another manager answers where it does not do as it was asked.
pub(crate) enum Refusal {
    /// The snapshot's parts do not fit together: begin again.
    Snapshot(InstallSnapshotError),
    /// It cannot.
    Other(String),
}

impl Refusal {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Snapshot(error) => error.to_string(),
            Self::Other(text) => text,
        }
    }
}

/// Writes an answer.
pub(crate) fn answer(answer: std::result::Result<impl Serialize, Refusal>) -> Vec<u8> {
    let (kind, written) = match answer {
        Ok(answer) => (0, serde_json::to_vec(&answer)),
        Err(Refusal::Snapshot(error)) => (1, serde_json::to_vec(&error)),
        Err(Refusal::Other(text)) => (2, Ok(text.into_bytes())),
    };
    match written {
        Ok(bytes) => [vec![kind], bytes].concat(),
        Err(error) => [vec![2], error.to_string().into_bytes()].concat(),
    }
}

/// Reads an answer.
pub(crate) fn answered<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, Refusal> {
    let unreadable = |e: Unreadable| Refusal::Other(e.to_string());
    match bytes {
        [0, json @ ..] => parse(json).map_err(unreadable),
        [1, json @ ..] => Err(Refusal::Snapshot(parse(json).map_err(unreadable)?)),
        [2, text @ ..] => Err(Refusal::Other(String::from_utf8_lossy(text).into_owned())),
        _ => Err(Refusal::Other("an empty answer".into())),
    }
}
