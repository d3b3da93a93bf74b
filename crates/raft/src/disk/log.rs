//! The log: files that are only ever appended to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::frame::{Cipher, HEADER, Kind};
use super::index::{Index, Place};
use super::record::{self, Record};
use super::state::State;
use super::{Shared, damaged_by};
use crate::codec::Unreadable;
use crate::error::{At, Error, Result};
use crate::types::{Entry, LogId, Vote};

/// How much of the newest entries is kept in memory, as long as it is on disk.
const CACHE: usize = 16 << 20;

/// The name of a file of the log.
pub(super) fn name(number: u64) -> String {
    format!("log-{number:010}")
}

/// A file of the log.
pub(super) struct Segment {
    pub(super) file: File,
    pub(super) cipher: Cipher,
}

/// The file that is written.
struct Writer {
    number: u64,
    length: u64,
    counter: u64,
}

/// The log of one manager.
pub(crate) struct Log {
    pub(super) shared: Arc<Shared>,
    pub(super) state: State,
    pub(super) index: Index,
    pub(super) segments: BTreeMap<u64, Segment>,
    writer: Writer,
    cache: BTreeMap<u64, (Entry, usize)>,
    cached: usize,
    /// Agreed on, and not written yet.
    committed: Option<LogId>,
    /// Why nothing can be written any more.
    failed: Option<String>,
}

impl Log {
    /// The log that was read, with a new file to go on in.
    pub(super) fn new(
        shared: Arc<Shared>,
        state: State,
        index: Index,
        segments: BTreeMap<u64, Segment>,
    ) -> Result<Self> {
        let mut log = Self {
            committed: index.committed,
            shared,
            state,
            index,
            segments,
            writer: Writer {
                number: 0,
                length: 0,
                counter: 0,
            },
            cache: BTreeMap::new(),
            cached: 0,
            failed: None,
        };
        log.roll()?;
        log.drop_segments()?;
        Ok(log)
    }

    pub(crate) fn last(&self) -> Option<LogId> {
        self.index.last()
    }

    pub(crate) fn purged(&self) -> Option<LogId> {
        self.index.purged
    }

    pub(crate) fn committed(&self) -> Option<LogId> {
        self.committed.min(self.last())
    }

    pub(crate) fn vote(&self) -> Option<Vote> {
        self.state.vote
    }

    /// Begins a new file, with a key of its own.
    fn roll(&mut self) -> Result<()> {
        let number = self
            .segments
            .keys()
            .next_back()
            .copied()
            .unwrap_or(self.state.segment)
            + 1;
        let cipher = Cipher::new(&self.shared.keys(), Kind::Log, number)?;
        let mut bytes = cipher.header().to_vec();
        let start = Record::Start(self.index.start())
            .write()
            .map_err(unwritable)?;
        cipher.seal(0, &start, &mut bytes)?;
        let (folder, name) = (&self.shared.folder, name(number));
        folder.replace(&name, &bytes, "raft.segment")?;
        let path = folder.file(&name);
        let mut options = File::options();
        let file = options.read(true).append(true).open(&path).at(&path)?;
        self.segments.insert(number, Segment { file, cipher });
        self.writer = Writer {
            number,
            length: bytes.len() as u64,
            counter: 1,
        };
        self.state.segment = number;
        self.state.write(&self.shared, "raft.state")
    }

    /// Begins a new file, sealed with the newest data key.
    pub(super) fn renew(&mut self) -> Result<()> {
        self.writing(Self::roll)
    }

    /// Runs what writes; whatever fails, nothing is written after it: what is on disk then is only known
    /// when it is read again, and an fsync that failed cannot be repeated.
    fn writing<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(why) = &self.failed {
            return Err(Error::Failed(why.clone()));
        }
        let written = write(self);
        if let Err(error) = &written {
            self.failed = Some(error.to_string());
        }
        written
    }

    /// Writes frames after the last one and makes them durable, all at once.
    fn write(&mut self, plains: &[Vec<u8>], step: &str) -> Result<Vec<(u64, usize, u64)>> {
        if self.writer.length >= self.shared.options.segment {
            self.roll()?;
        }
        let number = self.writer.number;
        let path = self.shared.folder.file(&name(number));
        let segment = self.segments.get_mut(&number);
        let segment = segment.ok_or_else(|| Error::Failed("no file to write to".into()))?;
        let mut bytes = Vec::new();
        let mut places = Vec::with_capacity(plains.len());
        for (counter, plain) in (self.writer.counter..).zip(plains) {
            let start = bytes.len();
            segment.cipher.seal(counter, plain, &mut bytes)?;
            let offset = self.writer.length + start as u64;
            places.push((offset, bytes.len() - start, counter));
        }
        self.shared.folder.step(&format!("{step}.begin"))?;
        segment.file.write_all(&bytes).at(&path)?;
        self.shared.folder.step(&format!("{step}.written"))?;
        segment.file.sync_data().at(&path)?;
        self.shared.folder.step(&format!("{step}.synced"))?;
        self.writer.length += bytes.len() as u64;
        self.writer.counter += plains.len() as u64;
        Ok(places)
    }

    /// Appends entries; they are durable when this returns, with what was agreed on until now.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) -> Result<()> {
        self.writing(|log| {
            let mut plains = Vec::with_capacity(entries.len() + 1);
            let mut news = log.news();
            if let Some(committed) = news.take() {
                plains.push(Record::Committed(committed).write().map_err(unwritable)?);
                log.index.committed = Some(committed);
            }
            let before = plains.len();
            for (index, entry) in (log.index.next..).zip(&entries) {
                if entry.log_id.index != index {
                    let got = entry.log_id.index;
                    return Err(Error::Failed(format!("entry {got} in place of {index}")));
                }
                plains.push(record::write_entry(entry).map_err(unwritable)?);
            }
            let places = log.write(&plains, "raft.append")?;
            for (entry, (offset, length, counter)) in entries.into_iter().zip(&places[before..]) {
                let place = Place {
                    id: entry.log_id,
                    segment: log.writer.number,
                    offset: *offset,
                    length: *length,
                    counter: *counter,
                };
                let taken = log.index.take(&Record::Entry(entry.log_id), place, false);
                taken.map_err(Error::Failed)?;
                log.keep(entry, *length);
            }
            Ok(())
        })
    }

    /// What was agreed on since that was written last.
    fn news(&self) -> Option<LogId> {
        self.committed.filter(|id| Some(*id) > self.index.committed)
    }

    fn keep(&mut self, entry: Entry, length: usize) {
        self.cached += length;
        self.cache.insert(entry.log_id.index, (entry, length));
        while self.cached > CACHE && self.cache.len() > 1 {
            if let Some((_, (_, length))) = self.cache.pop_first() {
                self.cached -= length;
            }
        }
    }

    fn forget(&mut self, keep: impl Fn(u64) -> bool) {
        self.cache.retain(|index, _| keep(*index));
        self.cached = self.cache.values().map(|(_, length)| length).sum();
    }

    fn note(&mut self, record: &Record) -> Result<()> {
        let plain = record.write().map_err(unwritable)?;
        self.write(&[plain], "raft.note")?;
        let none = Place {
            id: LogId::default(),
            segment: 0,
            offset: 0,
            length: 0,
            counter: 0,
        };
        self.index.take(record, none, false).map_err(Error::Failed)
    }

    /// Takes back the entries from `index` on.
    pub(crate) fn truncate(&mut self, index: u64) -> Result<()> {
        self.writing(|log| {
            log.note(&Record::Truncate(index))?;
            log.forget(|at| at < index);
            Ok(())
        })
    }

    /// Notes that all up to `id` are in a snapshot, and removes the files that nobody needs then.
    pub(crate) fn purge(&mut self, id: LogId) -> Result<()> {
        if self.index.purged >= Some(id) {
            return Ok(());
        }
        self.writing(|log| {
            log.note(&Record::Purged(id))?;
            log.forget(|at| at > id.index);
            log.shared.folder.step("raft.purge.noted")?;
            log.drop_segments()
        })
    }

    /// Oldest first: what is left has no hole, whenever this ends.
    fn drop_segments(&mut self) -> Result<()> {
        let first = self.index.first_segment().unwrap_or(self.writer.number);
        let mut dropped = false;
        while let Some(entry) = self.segments.first_entry()
            && *entry.key() < first
        {
            let (number, _) = entry.remove_entry();
            self.shared.folder.remove(&name(number))?;
            self.shared.folder.step("raft.purge.removed")?;
            dropped = true;
        }
        if dropped {
            self.shared.folder.sync()?;
        }
        Ok(())
    }

    /// Notes what is agreed on; it is written with the next entries.
    pub(crate) fn commit(&mut self, id: Option<LogId>) {
        self.committed = self.committed.max(id);
    }

    /// Writes what is agreed on, before an orderly end.
    pub(crate) fn flush(&mut self) -> Result<()> {
        match self.news() {
            Some(id) => self.writing(|log| log.note(&Record::Committed(id))),
            None => Ok(()),
        }
    }

    /// Notes whom this manager follows or votes for; durable when this returns.
    pub(crate) fn save_vote(&mut self, vote: Vote) -> Result<()> {
        self.writing(|log| {
            log.state.vote = Some(vote);
            log.state.write(&log.shared, "raft.vote")
        })
    }

    /// Who this manager is.
    pub(crate) fn id(&self) -> u64 {
        self.state.id
    }

    /// Gives the manager its number.
    pub(crate) fn save_id(&mut self, id: u64) -> Result<()> {
        self.writing(|log| {
            log.state.id = id;
            log.state.write(&log.shared, "raft.state")
        })
    }

    /// The entries of `range` that are there, as many as `limit` bytes hold, and at least one.
    pub(crate) fn read(&self, range: Range<u64>, limit: usize) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut read = 0;
        if range.is_empty() {
            return Ok(entries);
        }
        for (index, place) in self.index.entries.range(range) {
            read += place.length;
            if read > limit && !entries.is_empty() {
                break;
            }
            entries.push(match self.cache.get(index) {
                Some((entry, _)) => entry.clone(),
                None => self.fetch(place)?,
            });
        }
        Ok(entries)
    }

    fn fetch(&self, place: &Place) -> Result<Entry> {
        let path = self.shared.folder.file(&name(place.segment));
        let gone = || Error::damaged(&path, place.offset, "the file is gone");
        let segment = self.segments.get(&place.segment).ok_or_else(gone)?;
        let mut frame = vec![0; place.length];
        segment
            .file
            .read_exact_at(&mut frame, place.offset)
            .at(&path)?;
        let plain = segment
            .cipher
            .open(place.counter, &path, place.offset, &frame)?;
        record::read_entry(&plain).map_err(|e| damaged_by(&path, place.offset, &e))
    }

    /// The data keys that files of the log are sealed with.
    pub(super) fn data_keys(&self) -> Vec<u32> {
        self.segments.values().map(|s| s.cipher.data_key).collect()
    }
}

fn unwritable(error: Unreadable) -> Error {
    Error::Failed(error.to_string())
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.writer.length > HEADER as u64 && self.failed.is_none() {
            // Not needed for anything that must be kept: a leader tells it again.
            if let Err(error) = self.flush() {
                tracing::debug!(%error, "the last agreement was not written");
            }
        }
    }
}
