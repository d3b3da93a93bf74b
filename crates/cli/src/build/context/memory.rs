//! What the last build of a context was given: each file's state and digest, and the name that the
//! daemon knows the whole by. With it a build reads only what changed, and sends only that.
//!
//! A file of records that is read as it is, without a copy of any path: for 50,000 files nothing
//! larger may stand between a build and its first step. Whoever can write it can as well change the
//! files themselves; damage is found by a sum and by bounds, and then everything is read again.

use std::collections::HashMap;

use super::file::{Stat, Time};

const MAGIC: &[u8; 8] = b"wharfc\x00\x01";
/// A file larger than this is no memory of ours.
pub(super) const LARGEST: u64 = 512 << 20;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) path: &'a str,
    pub(super) stat: Stat,
    /// It had not changed for long enough when it was read: the next change will be seen.
    pub(super) settled: bool,
    /// SHA-256 of a file.
    pub(super) digest: [u8; 32],
    /// Where a link leads.
    pub(super) link: &'a str,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Memory<'a> {
    /// The daemon's name of the context.
    pub(super) id: &'a str,
    pub(super) records: Vec<Record<'a>>,
    index: HashMap<&'a str, u32>,
}

impl<'a> Memory<'a> {
    /// Reads what [`write`] wrote; nothing where it is anything else.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (sum, rest) = rest.split_first_chunk::<8>()?;
        if u64::from_le_bytes(*sum) != checksum(rest) {
            return None;
        }
        let mut reader = Reader(rest);
        let id = reader.text()?;
        let count = reader.number32()?;
        // Each record has some 60 bytes, whatever the count says.
        let room = usize::try_from(count).ok()?.min(rest.len() / 60 + 1);
        let mut memory = Self {
            id,
            records: Vec::with_capacity(room),
            index: HashMap::with_capacity(room),
        };
        for place in 0..count {
            let record = reader.record()?;
            memory.index.insert(record.path, place);
            memory.records.push(record);
        }
        reader.0.is_empty().then_some(memory)
    }

    /// The place of what is known of `path`.
    pub(super) fn find(&self, path: &str) -> Option<u32> {
        self.index.get(path).copied()
    }

    /// What is known, by its place.
    pub(super) fn at(&self, place: u32) -> Option<&Record<'a>> {
        self.records.get(usize::try_from(place).ok()?)
    }
}

/// Writes `records` so that [`Memory::parse`] reads them.
pub(super) fn write<'a>(id: &str, records: impl ExactSizeIterator<Item = Record<'a>>) -> Vec<u8> {
    let mut body = Vec::with_capacity(records.len() * 128 + 128);
    text(&mut body, id);
    let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
    body.extend(count.to_le_bytes());
    for record in records {
        let stat = &record.stat;
        body.push(stat.kind as u8 | u8::from(record.settled) << 7);
        body.extend(stat.mode.to_le_bytes());
        body.extend(stat.size.to_le_bytes());
        body.extend(stat.inode.to_le_bytes());
        for time in [stat.modified, stat.changed] {
            body.extend(time.0.to_le_bytes());
            body.extend(time.1.to_le_bytes());
        }
        body.extend(record.digest);
        text(&mut body, record.path);
        text(&mut body, record.link);
    }
    let mut out = Vec::with_capacity(body.len() + 16);
    out.extend(MAGIC);
    out.extend(checksum(&body).to_le_bytes());
    out.extend(body);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or(0);
    out.extend(length.to_le_bytes());
    out.extend(text.as_bytes());
}

/// Finds what a disk or a half-written file spoils; no protection from anybody.
fn checksum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut sum = bytes.len() as u64;
    for word in words {
        sum = (sum.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
    }
    for byte in rest {
        sum = (sum.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(FACTOR);
    }
    sum
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn number32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number32()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn time(&mut self) -> Option<Time> {
        let seconds = i64::from_le_bytes(self.take()?);
        Some((seconds, self.number32()?))
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let [first] = self.take()?;
        let stat = Stat {
            kind: super::file::kind(first & 0x7f)?,
            mode: self.number32()?,
            size: u64::from_le_bytes(self.take()?),
            inode: u64::from_le_bytes(self.take()?),
            modified: self.time()?,
            changed: self.time()?,
        };
        Some(Record {
            stat,
            settled: first & 0x80 != 0,
            digest: self.take()?,
            path: self.text()?,
            link: self.text()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use types::build::EntryKind;

    use super::*;

    fn record(path: &str) -> Record<'_> {
        Record {
            path,
            stat: Stat {
                kind: EntryKind::File,
                mode: 0o644,
                size: 7,
                inode: 9,
                modified: (-5, 6),
                changed: (7, 8),
            },
            settled: path.len() > 1,
            digest: [3; 32],
            link: "",
        }
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_found() {
        let records = [record("a"), record("b/ü")];
        let bytes = write("the id", records.iter().copied());
        let memory = Memory::parse(&bytes).unwrap();
        assert_eq!((memory.id, &memory.records[..]), ("the id", &records[..]));
        assert_eq!(memory.find("b/ü"), Some(1));
        assert_eq!(memory.find("c"), None);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Memory::parse(&bad).is_none(), "byte {at}");
            assert!(Memory::parse(&bytes[..at]).is_none());
        }
    }
}
