//! Reading the log at start.
//!
//! Every frame is read, opened and checked against the one before. What can be explained by a crash is a
//! last frame that ends early, or zeroes, in the last file: nobody was told that it is kept, and it is
//! cut off. All else (a frame whose bytes changed, a file or an entry that is missing, a file in another's
//! place) refuses to start, and nothing is changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use super::frame::{Kind, Reader};
use super::index::{Index, Place};
use super::log::{Log, Segment, name};
use super::record::Record;
use super::state::State;
use super::{Shared, damaged_by};
use crate::error::{At, Error, Result};
use crate::types::LogId;

/// The numbers of the log's files, which must follow one another.
fn numbers(shared: &Shared, state: &State) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = Vec::new();
    for file in shared.folder.names()? {
        let number = file.strip_prefix("log-").and_then(|n| n.parse().ok());
        let Some(number) = number else { continue };
        if let Some(last) = numbers.last()
            && number != last + 1
        {
            let path = shared.folder.file(&name(last + 1));
            return Err(Error::damaged(&path, 0, "the file is missing"));
        }
        numbers.push(number);
    }
    if numbers.last().copied().unwrap_or(0) < state.segment {
        let path = shared.folder.file(&name(state.segment));
        return Err(Error::damaged(&path, 0, "the file is missing"));
    }
    if numbers.is_empty() || state.segment > 0 || numbers == [1] {
        return Ok(numbers);
    }
    let path = shared.folder.file("state");
    Err(Error::damaged(&path, 0, "the file is missing"))
}

/// Reads the whole log, which must go on from the snapshot's last entry or before. Nothing is written
/// before all of it is found to be right.
pub(super) fn open(shared: &Arc<Shared>, snapshot: Option<LogId>) -> Result<Log> {
    let state = State::read(shared)?;
    let numbers = numbers(shared, &state)?;
    let mut index = Index::default();
    let mut segments = BTreeMap::new();
    let newest = numbers.last().copied();
    let mut cut = None;
    for (at, number) in numbers.iter().copied().enumerate() {
        let path = shared.folder.file(&name(number));
        let bytes = std::fs::read(&path).at(&path)?;
        // Files get their names when they begin rightly.
        let short = || Error::damaged(&path, 0, "the file is cut short");
        let reader = Reader::new(&shared.keys(), Kind::Log, &path, bytes)?;
        let mut reader = reader.ok_or_else(short)?;
        if reader.cipher.number != number {
            let what = format!(
                "this is file {} of the log under another name",
                reader.cipher.number
            );
            return Err(Error::damaged(&path, 16, what));
        }
        let mut frames = 0;
        while let Some(found) = reader.next()? {
            let record =
                Record::read(&found.plain).map_err(|e| damaged_by(&path, found.offset, &e))?;
            let place = Place {
                id: match record {
                    Record::Entry(id) => id,
                    _ => LogId::default(),
                },
                segment: number,
                offset: found.offset,
                length: found.length,
                counter: found.counter,
            };
            if matches!(record, Record::Start(_)) != (frames == 0) {
                return Err(Error::damaged(
                    &path,
                    found.offset,
                    "a frame in the wrong place",
                ));
            }
            let taken = index.take(&record, place, at == 0);
            taken.map_err(|what| Error::damaged(&path, found.offset, what))?;
            frames += 1;
        }
        if frames == 0 {
            return Err(short());
        }
        if Some(number) == newest {
            if reader.torn() {
                tracing::warn!(
                    file = %path.display(), offset = reader.at(),
                    "the last entry was cut short by a crash before anybody was told of it; it is dropped"
                );
            }
            cut = Some(reader.good().to_vec());
        } else if reader.torn() {
            return Err(Error::damaged(&path, reader.at(), "the file is cut short"));
        }
        let file = File::open(&path).at(&path)?;
        let cipher = reader.cipher;
        segments.insert(number, Segment { file, cipher });
    }
    index.check().map_err(|what| {
        let first = numbers.first().copied().unwrap_or(1);
        Error::damaged(&shared.folder.file(&name(first)), 0, what)
    })?;
    if state.segment == 0 && index.next > 0 {
        let path = shared.folder.file("state");
        return Err(Error::damaged(&path, 0, "the file is missing"));
    }
    if index.purged > snapshot {
        let what = format!(
            "the log begins after entry {}, and the newest snapshot ends before it",
            index.purged.map_or(0, |id| id.index)
        );
        return Err(Error::damaged(shared.folder.path(), 0, what));
    }
    if let (Some(number), Some(good)) = (newest, cut) {
        // Written afresh even where it is whole: after an fsync that failed the kernel takes pages for
        // durable that are not, and what is read here will be told to others as kept.
        shared.folder.replace(&name(number), &good, "raft.cut")?;
        let path = shared.folder.file(&name(number));
        if let Some(segment) = segments.get_mut(&number) {
            segment.file = File::open(&path).at(&path)?;
        }
    }
    Log::new(shared.clone(), state, index, segments)
}
