//! Snapshots: the tables as they were after an entry, in one file.

use std::path::PathBuf;

use super::frame::{Cipher, HEADER, Kind, Reader};
use super::{Shared, damaged_by};
use crate::error::{At, Error, Result};
use crate::types::SnapshotMeta;

const PREFIX: &str = "snapshot-";
/// How much of it is in one frame.
const PART: usize = 1 << 20;

fn name(index: u64) -> String {
    format!("{PREFIX}{index:020}")
}

fn index_of(meta: &SnapshotMeta) -> u64 {
    meta.last_log_id.map_or(0, |id| id.index)
}

/// The names of the snapshots that there are, oldest first.
fn names(shared: &Shared) -> Result<Vec<String>> {
    let mut names = shared.folder.names()?;
    names.retain(|name| name.starts_with(PREFIX));
    Ok(names)
}

/// Writes a snapshot: it is there as a whole, or not; older ones go after it is.
pub(super) fn write(shared: &Shared, meta: &SnapshotMeta, data: &[u8]) -> Result<()> {
    let cipher = Cipher::new(&shared.keys(), Kind::Snapshot, index_of(meta))?;
    let mut bytes = Vec::with_capacity(HEADER + data.len() + data.len() / 1024 + 4096);
    bytes.extend_from_slice(cipher.header());
    let start = serde_json::to_vec(meta).map_err(|e| Error::Failed(e.to_string()))?;
    cipher.seal(0, &start, &mut bytes)?;
    let mut counter = 1;
    for part in data.chunks(PART) {
        cipher.seal(counter, part, &mut bytes)?;
        counter += 1;
    }
    // The last frame says how much there was before it: none can be missing.
    cipher.seal(counter, &(data.len() as u64).to_le_bytes(), &mut bytes)?;
    let name = name(index_of(meta));
    shared.folder.replace(&name, &bytes, "raft.snapshot")?;
    tidy(shared)
}

/// Removes all but the newest.
pub(super) fn tidy(shared: &Shared) -> Result<()> {
    let mut names = names(shared)?;
    names.pop();
    for old in names {
        shared.folder.remove(&old)?;
        shared.folder.step("raft.snapshot.removed")?;
    }
    Ok(())
}

/// The newest snapshot. One that is damaged is an error: the log before it is gone.
pub(super) fn read(shared: &Shared) -> Result<Option<(SnapshotMeta, Vec<u8>)>> {
    let Some(name) = names(shared)?.pop() else {
        return Ok(None);
    };
    let path = shared.folder.file(&name);
    let bytes = std::fs::read(&path).at(&path)?;
    let length = bytes.len() as u64;
    let short = || Error::damaged(&path, length, "the file is cut short");
    let reader = Reader::new(&shared.keys(), Kind::Snapshot, &path, bytes)?;
    let mut reader = reader.ok_or_else(short)?;
    let start = reader.next()?.ok_or_else(short)?;
    let meta: SnapshotMeta =
        serde_json::from_slice(&start.plain).map_err(|e| damaged_by(&path, start.offset, &e))?;
    if self::name(index_of(&meta)) != name {
        return Err(Error::damaged(
            &path,
            0,
            "this is another snapshot under its name",
        ));
    }
    let mut data = Vec::new();
    let mut last: Option<Vec<u8>> = None;
    while let Some(found) = reader.next()? {
        if let Some(part) = last.replace(found.plain) {
            data.extend_from_slice(&part);
        }
    }
    let whole = last.is_some_and(|last| last == (data.len() as u64).to_le_bytes());
    if reader.torn() || !whole {
        return Err(short());
    }
    Ok(Some((meta, data)))
}

/// The data keys that snapshots are sealed with.
pub(super) fn data_keys(shared: &Shared) -> Result<Vec<u32>> {
    let mut keys = Vec::new();
    for name in names(shared)? {
        let path: PathBuf = shared.folder.file(&name);
        let bytes = std::fs::read(&path).at(&path)?;
        let reader = Reader::new(&shared.keys(), Kind::Snapshot, &path, bytes)?;
        keys.extend(reader.map(|r| r.cipher.data_key));
    }
    Ok(keys)
}
