//! Entries as bytes: on disk, and between managers.
//!
//! JSON, because the wishes in it are Docker's and are written so that fields can be added and left out
//! (a manager of the version before reads what one of the next wrote); compressed where that helps, as
//! the tasks of one service say the same over and over.

use openraft::EntryPayload;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::{Entry, LogId, Types};

/// No entry and no part of a snapshot is longer when it is unpacked.
const LONGEST: usize = 256 << 20;
/// What is shorter is not compressed.
const SHORT: usize = 512;

const PLAIN: u8 = 0;
const PACKED: u8 = 1;

/// What cannot be read. Where it was read from is known to the caller.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) String);

impl Unreadable {
    pub(crate) fn new(why: impl std::fmt::Display) -> Self {
        Self(why.to_string())
    }
}

type Result<T> = std::result::Result<T, Unreadable>;

/// Packs bytes: a byte that says how, and the bytes.
pub(crate) fn pack(plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if plain.len() >= SHORT {
        let packed = zstd::bulk::compress(plain, 1).map_err(Unreadable::new)?;
        if packed.len() + 4 < plain.len() {
            out.push(PACKED);
            let length = u32::try_from(plain.len()).map_err(Unreadable::new)?;
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&packed);
            return Ok(());
        }
    }
    out.push(PLAIN);
    out.extend_from_slice(plain);
    Ok(())
}

/// The bytes that were packed.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    match packed {
        [PLAIN, plain @ ..] => Ok(plain.to_vec()),
        [PACKED, a, b, c, d, rest @ ..] => {
            let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            if length > LONGEST {
                return Err(Unreadable(format!("{length} bytes are too much")));
            }
            let plain = zstd::bulk::decompress(rest, length).map_err(Unreadable::new)?;
            if plain.len() != length {
                return Err(Unreadable(format!(
                    "{} bytes in place of {length}",
                    plain.len()
                )));
            }
            Ok(plain)
        }
        _ => Err(Unreadable(
            "it says of no known way how it is packed".into(),
        )),
    }
}

/// Packs a value.
pub(crate) fn pack_json(value: &impl Serialize, out: &mut Vec<u8>) -> Result<()> {
    let plain = serde_json::to_vec(value).map_err(Unreadable::new)?;
    pack(&plain, out)
}

/// The value that was packed.
pub(crate) fn unpack_json<T: DeserializeOwned>(packed: &[u8]) -> Result<T> {
    serde_json::from_slice(&unpack(packed)?).map_err(Unreadable::new)
}

/// Appends a log's place.
pub(crate) fn put_id(id: &LogId, out: &mut Vec<u8>) {
    for number in [id.leader_id.term, id.leader_id.node_id, id.index] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// Reads what [`put_id`] wrote, and answers with what is after it.
pub(crate) fn take_id(bytes: &[u8]) -> Result<(LogId, &[u8])> {
    let (term, rest) = take_number(bytes)?;
    let (node, rest) = take_number(rest)?;
    let (index, rest) = take_number(rest)?;
    let leader = openraft::CommittedLeaderId::new(term, node);
    Ok((LogId::new(leader, index), rest))
}

pub(crate) fn take_number(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let (number, rest) = bytes
        .split_first_chunk()
        .ok_or_else(|| Unreadable("it ends too early".into()))?;
    Ok((u64::from_le_bytes(*number), rest))
}

/// Appends an entry.
pub(crate) fn put_entry(entry: &Entry, out: &mut Vec<u8>) -> Result<()> {
    put_id(&entry.log_id, out);
    pack_json(&entry.payload, out)
}

/// The entry that is all of `bytes`.
pub(crate) fn take_entry(bytes: &[u8]) -> Result<Entry> {
    let (log_id, payload) = take_id(bytes)?;
    let payload: EntryPayload<Types> = unpack_json(payload)?;
    Ok(Entry { log_id, payload })
}
