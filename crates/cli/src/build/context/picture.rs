//! A context as it is now, told from what is remembered of it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    os::fd::AsFd,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use types::build::{ContextEntry, EntryKind};

use super::{
    file::{Failure, Stat},
    hash,
    ignore::Ignore,
    memory::{self, Memory, Record},
    scan,
};
use crate::error::{Error, Result, errno_text};

/// A file that changed less than these seconds before it was read may change once more without a sign
/// of it: clocks of file systems are coarse.
const COARSE: i64 = 2;

/// An entry that was looked at in this run.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) path: String,
    pub(super) stat: Stat,
    pub(super) old: Option<u32>,
    pub(super) settled: bool,
    pub(super) digest: [u8; 32],
    pub(super) link: String,
}

impl Fresh {
    fn record(&self) -> Record<'_> {
        Record {
            path: &self.path,
            stat: self.stat,
            settled: self.settled,
            digest: self.digest,
            link: &self.link,
        }
    }
}

/// All of a context.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// The memory's file.
    bytes: Vec<u8>,
    /// Places in it of what is as it was.
    same: Vec<u32>,
    pub(super) fresh: Vec<Fresh>,
    /// What the memory knows and is no more.
    removed: Vec<String>,
    /// The daemon's name of the last context.
    id: Option<String>,
}

/// What changed since the context that the daemon calls `base`.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) base: Option<String>,
    pub(super) entries: BTreeMap<String, ContextEntry>,
    pub(super) removed: Vec<String>,
}

/// A file whose content is to be sent.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) digest: String,
    pub(super) path: String,
    pub(super) size: u64,
}

/// A failure in the user's words; `root` is what was asked for.
pub(super) fn told(root: &Path, failure: &Failure) -> Error {
    let path = root.join(&failure.path);
    let why = errno_text(&failure.error);
    Error::msg(format!(
        "ERROR: failed to read the build context: {} {}: {why}",
        failure.op,
        path.display()
    ))
}

fn entry(record: &Record<'_>) -> ContextEntry {
    let is_file = record.stat.kind == EntryKind::File;
    ContextEntry {
        kind: record.stat.kind,
        mode: record.stat.mode,
        mtime: record.stat.modified.0,
        size: if is_file { record.stat.size } else { 0 },
        digest: if is_file {
            hash::hex(&record.digest)
        } else {
            String::new()
        },
        link: record.link.to_owned(),
    }
}

/// Whether the daemon would see no difference.
fn same_entry(a: &Record<'_>, b: &Record<'_>) -> bool {
    let file = a.stat.kind == EntryKind::File;
    a.stat.kind == b.stat.kind
        && a.stat.mode == b.stat.mode
        && a.stat.modified.0 == b.stat.modified.0
        && (!file || a.stat.size == b.stat.size && a.digest == b.digest)
        && a.link == b.link
}

impl Picture {
    /// Walks `root`, and reads what is not as `bytes`, the memory's file, has it.
    pub(super) fn take(root: &Path, ignore: &Ignore, bytes: Vec<u8>) -> Result<Self> {
        let failed = |failure: Failure| told(root, &failure);
        let dir = std::fs::File::open(root)
            .map_err(|e| Error::file("open", &root.display().to_string(), &e))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
        let memory = Memory::parse(&bytes).unwrap_or_default();
        let mut scan = scan::scan(dir.as_fd(), ignore, &memory).map_err(failed)?;
        let mut fresh: Vec<Fresh> = scan
            .found
            .drain(..)
            .map(|found| Fresh {
                settled: is_settled(&found.stat, now),
                path: found.path,
                stat: found.stat,
                old: found.old,
                digest: [0; 32],
                link: found.linked,
            })
            .collect();
        hash::read(dir.as_fd(), &mut fresh).map_err(failed)?;
        let mut there = vec![false; memory.records.len()];
        let places = scan.same.iter().copied();
        for place in places.chain(fresh.iter().filter_map(|f| f.old)) {
            if let Some(flag) = usize::try_from(place).ok().and_then(|p| there.get_mut(p)) {
                *flag = true;
            }
        }
        let gone = memory
            .records
            .iter()
            .zip(&there)
            .filter(|(_, there)| !**there);
        let removed = gone.map(|(record, _)| record.path.to_owned()).collect();
        let id = Some(memory.id.to_owned()).filter(|id| !id.is_empty());
        Ok(Self {
            id,
            removed,
            fresh,
            same: scan.same,
            bytes,
        })
    }

    fn memory(&self) -> Memory<'_> {
        Memory::parse(&self.bytes).unwrap_or_default()
    }

    /// Whether the memory has nothing to learn.
    pub(super) fn is_known(&self) -> bool {
        self.fresh.is_empty() && self.removed.is_empty() && !self.bytes.is_empty()
    }

    /// What changed since the last context, or everything.
    pub(super) fn difference(&self, whole: bool) -> Difference {
        if !whole && self.is_known() {
            // Nothing but the name is needed of the memory.
            return Difference {
                base: self.id.clone(),
                ..Difference::default()
            };
        }
        let memory = self.memory();
        let base = self.id.clone().filter(|_| !whole);
        let known = base.is_some();
        let mut difference = Difference {
            base,
            ..Difference::default()
        };
        for fresh in &self.fresh {
            let record = fresh.record();
            let old = fresh.old.and_then(|old| memory.at(old));
            if known && old.is_some_and(|old| same_entry(old, &record)) {
                continue;
            }
            difference
                .entries
                .insert(fresh.path.clone(), entry(&record));
        }
        if known {
            difference.removed.clone_from(&self.removed);
        } else {
            let same = self.same.iter().filter_map(|place| memory.at(*place));
            let same = same.map(|record| (record.path.to_owned(), entry(record)));
            difference.entries.extend(same);
        }
        difference
    }

    /// The files that have the contents in `digests`.
    pub(super) fn contents(&self, digests: &[String]) -> Vec<Content> {
        let mut wanted: HashSet<&str> = digests.iter().map(String::as_str).collect();
        let memory = self.memory();
        let same = self.same.iter().filter_map(|place| memory.at(*place));
        let fresh: Vec<Record<'_>> = self.fresh.iter().map(Fresh::record).collect();
        let mut found = Vec::new();
        for record in fresh.iter().chain(same) {
            if wanted.is_empty() {
                break;
            }
            if record.stat.kind != EntryKind::File {
                continue;
            }
            let digest = hash::hex(&record.digest);
            if wanted.remove(digest.as_str()) {
                found.push(Content {
                    digest,
                    path: record.path.to_owned(),
                    size: record.stat.size,
                });
            }
        }
        found
    }

    /// The memory's file for the next time, with the daemon's name of this context.
    pub(super) fn remember(&self, id: &str) -> Vec<u8> {
        let memory = self.memory();
        let same = self.same.iter().filter_map(|place| memory.at(*place));
        let mut all: Vec<Record<'_>> = same.copied().collect();
        all.extend(self.fresh.iter().map(Fresh::record));
        memory::write(id, all.into_iter())
    }

    /// Looks at `paths` again at the next chance: their contents were not what was read of them.
    pub(super) fn doubt(&mut self, id: &str, paths: &[String]) -> Vec<u8> {
        let mut doubtful: HashMap<&str, ()> = paths.iter().map(|p| (p.as_str(), ())).collect();
        for fresh in &mut self.fresh {
            if doubtful.remove(fresh.path.as_str()).is_some() {
                fresh.settled = false;
            }
        }
        let memory = self.memory();
        let same = self.same.iter().filter_map(|place| memory.at(*place));
        let mut all: Vec<Record<'_>> = same
            .map(|record| {
                let mut record = *record;
                record.settled &= !doubtful.contains_key(record.path);
                record
            })
            .collect();
        all.extend(self.fresh.iter().map(Fresh::record));
        memory::write(id, all.into_iter())
    }
}

/// Whether any later change of the file will be seen.
fn is_settled(stat: &Stat, now: i64) -> bool {
    if stat.kind == EntryKind::Dir {
        return true;
    }
    let recent = (now - COARSE..=now + COARSE).contains(&stat.modified.0);
    stat.changed.0 < now - COARSE && !recent
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn paths(difference: &Difference) -> Vec<&str> {
        difference.entries.keys().map(String::as_str).collect()
    }

    /// Makes all that is remembered settled, as time does.
    fn aged(bytes: &[u8], id: &str) -> Vec<u8> {
        let memory = Memory::parse(bytes).unwrap();
        let all: Vec<_> = memory
            .records
            .iter()
            .map(|r| Record {
                settled: true,
                ..*r
            })
            .collect();
        memory::write(id, all.into_iter())
    }

    #[test]
    fn only_what_changed_is_told() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("d")).unwrap();
        for file in ["d/a", "d/b", "c"] {
            fs::write(at(file), file).unwrap();
        }
        let take = |bytes| Picture::take(root.path(), &Ignore::default(), bytes).unwrap();
        let first = take(Vec::new());
        let whole = first.difference(false);
        assert_eq!(paths(&whole), ["c", "d", "d/a", "d/b"]);
        assert_eq!(whole.base, None);
        let memory = aged(&first.remember("one"), "one");

        let second = take(memory.clone());
        assert!(second.is_known());
        let none = second.difference(false);
        assert_eq!((none.base.as_deref(), none.entries.len()), (Some("one"), 0));
        // A daemon that forgot it is told everything from the memory alone.
        assert_eq!(second.difference(true).entries, whole.entries);
        let digest = whole.entries["d/b"].digest.clone();
        assert_eq!(second.contents(&[digest])[0].path, "d/b");

        fs::write(at("d/a"), "changed").unwrap();
        fs::remove_file(at("c")).unwrap();
        fs::write(at("new"), "d/b").unwrap();
        let third = take(memory);
        let some = third.difference(false);
        assert_eq!(paths(&some), ["d/a", "new"]);
        assert_eq!(some.removed, ["c"]);
        assert_eq!(some.entries["new"].digest, whole.entries["d/b"].digest);
    }

    #[test]
    fn what_was_just_written_is_read_again_and_what_is_damaged_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "1").unwrap();
        let take = |bytes| Picture::take(root.path(), &Ignore::default(), bytes).unwrap();
        let memory = take(Vec::new()).remember("one");
        let again = take(memory.clone());
        assert_eq!(
            again.fresh.len(),
            1,
            "it was written within the last seconds"
        );
        assert!(
            again.difference(false).entries.is_empty(),
            "and is the same"
        );
        let mut damaged = memory;
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let whole = take(damaged).difference(false);
        assert_eq!((whole.base, whole.entries.len()), (None, 1));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let root = Path::new("/proc/self");
        let none = Ignore::parse("x", b"*\n!mem\n").unwrap();
        let Err(error) = Picture::take(root, &none, Vec::new()) else {
            panic!("memory at address zero cannot be read");
        };
        assert!(error.to_string().contains("/proc/self/mem"), "{error}");
    }
}
