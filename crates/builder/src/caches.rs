//! Cache mounts: directories that commands share and builds leave behind.
//!
//! `mounts/<digest of the identifier>/{id,data/}`; further ones for `sharing=private` have a number
//! at their end.

use std::{
    collections::{HashMap, HashSet},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use dockerfile::Sharing;
use image::{CancellationToken, Digest};
use types::build::Record;

use crate::{
    error::{Error, Result},
    pool::private_dir,
};

const DATA: &str = "data";
const ID: &str = "id";
/// Written when the directory has what it begins with.
const READY: &str = "ready";
/// How often somebody who waits looks whether its build was called off.
const PATIENCE: Duration = Duration::from_millis(200);

/// Who uses a directory now.
#[derive(Debug, Default)]
struct Use {
    users: usize,
    /// One of them wants it alone.
    locked: bool,
    /// It is one's who shares it with nobody.
    private: bool,
}

/// All cache mounts.
#[derive(Debug)]
pub(crate) struct Caches {
    dir: PathBuf,
    uses: Mutex<HashMap<PathBuf, Use>>,
    freed: Condvar,
    /// Bytes of each, as of when it was used last: to count them is to walk all of it.
    sizes: Mutex<HashMap<PathBuf, (SystemTime, u64)>>,
}

/// A cache mount in use.
#[derive(Debug)]
pub(crate) struct CacheGuard {
    caches: Arc<Caches>,
    path: PathBuf,
    data: PathBuf,
    sharing: Sharing,
}

impl Caches {
    pub(crate) fn open(dir: PathBuf) -> Result<Self> {
        private_dir(&dir)?;
        // What an earlier daemon was removing.
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Ok(Self {
            dir,
            uses: Mutex::default(),
            freed: Condvar::new(),
            sizes: Mutex::default(),
        })
    }

    /// Takes the cache of that identifier in use; waits for others where it is not to be shared.
    pub(crate) fn take(
        self: &Arc<Self>,
        id: &str,
        sharing: Sharing,
        cancel: &CancellationToken,
    ) -> Result<CacheGuard> {
        let name = Digest::of(id.as_bytes()).hex().to_owned();
        let mut path = self.dir.join(&name);
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let mut number = 0;
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let present = uses.entry(path.clone()).or_default();
            // One that is being made is nobody else's yet.
            let alone = sharing == Sharing::Locked || !path.join(READY).exists();
            let private = sharing == Sharing::Private;
            if present.users == 0 || !(present.locked || alone || private || present.private) {
                present.users += 1;
                present.locked |= alone;
                present.private |= private;
                break;
            }
            if private || present.private {
                number += 1;
                path = self.dir.join(format!("{name}-{number}"));
                continue;
            }
            let waited = self.freed.wait_timeout(uses, PATIENCE);
            uses = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(uses);
        let guard = CacheGuard {
            caches: Arc::clone(self),
            data: path.join(DATA),
            sharing,
            path,
        };
        if guard.is_new() {
            // What a crash left half-filled.
            let _ = std::fs::remove_dir_all(&guard.path);
            private_dir(&guard.data)?;
            std::fs::write(guard.path.join(ID), id).map_err(Error::io("make a cache mount"))?;
        }
        Ok(guard)
    }

    /// Bytes of one that was used last at `used`.
    fn size(&self, path: &Path, used: Option<SystemTime>) -> u64 {
        let sizes = || self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sizes().get(path).copied();
        if let Some((then, size)) = known
            && Some(then) == used
        {
            return size;
        }
        let size = size(&path.join(DATA));
        if let Some(used) = used {
            sizes().insert(path.to_owned(), (used, size));
        }
        size
    }

    /// All of them, for people.
    pub(crate) fn records(&self) -> Vec<Record> {
        let used: HashSet<PathBuf> = {
            let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            uses.keys().cloned().collect()
        };
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let records = entries.filter_map(|entry| {
            let path = entry.path();
            let id = std::fs::read_to_string(path.join(ID)).ok()?;
            let time = |time: Option<SystemTime>| {
                let time = jiff::Timestamp::try_from(time?).ok()?;
                Some(time.to_string())
            };
            let changed = |name: &str| path.join(name).metadata().and_then(|m| m.modified()).ok();
            let ready = changed(READY);
            let in_use = used.contains(&path);
            Some(Record {
                id: entry.file_name().to_string_lossy().into_owned(),
                kind: "exec.cachemount".to_owned(),
                description: format!("cached mount {id}"),
                in_use,
                // While it is used, it grows.
                size: i64::try_from(self.size(&path, ready.filter(|_| !in_use)))
                    .unwrap_or(i64::MAX),
                created_at: time(changed(ID)).unwrap_or_default(),
                last_used_at: time(ready),
                usage_count: 1,
                ..Record::default()
            })
        });
        records.collect()
    }

    /// Removes one that nobody uses; whether it did.
    pub(crate) fn remove(&self, name: &str) -> bool {
        if name.contains(['/', '.']) {
            return false;
        }
        let (path, aside) = (self.dir.join(name), self.dir.join(format!(".{name}")));
        {
            // Under the lock: nobody begins to use it meanwhile.
            let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            if uses.contains_key(&path) || std::fs::rename(&path, &aside).is_err() {
                return false;
            }
        }
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.remove(&path);
        drop(sizes);
        std::fs::remove_dir_all(&aside).is_ok()
    }
}

fn size(dir: &Path) -> u64 {
    let mut size = 0;
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => waiting.push(entry.path()),
                Ok(meta) => size += meta.len(),
                Err(_) => {}
            }
        }
    }
    size
}

impl CacheGuard {
    /// Whether it has nothing of what it begins with yet.
    pub(crate) fn is_new(&self) -> bool {
        !self.path.join(READY).exists()
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Says that it has what it begins with.
    pub(crate) fn made(&self, mode: u32, uid: u32, gid: u32) -> Result<()> {
        let made = chown(&self.data, Some(uid), Some(gid))
            .and_then(|()| {
                let mode = std::fs::Permissions::from_mode(mode & 0o7777);
                std::fs::set_permissions(&self.data, mode)
            })
            .and_then(|()| std::fs::write(self.path.join(READY), ""));
        made.map_err(Error::io("make a cache mount"))?;
        if self.sharing != Sharing::Locked {
            let mut uses = self
                .caches
                .uses
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(present) = uses.get_mut(&self.path) {
                present.locked = false;
            }
            drop(uses);
            self.caches.freed.notify_all();
        }
        Ok(())
    }
}

impl Drop for CacheGuard {
    fn drop(&mut self) {
        // When it was used last.
        if let Ok(file) = std::fs::File::open(self.path.join(READY)) {
            let _ = file.set_modified(SystemTime::now());
        }
        let mut uses = self
            .caches
            .uses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = uses.get_mut(&self.path) {
            present.users -= 1;
            present.locked = false;
            if present.users == 0 {
                uses.remove(&self.path);
            }
        }
        drop(uses);
        self.caches.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing() {
        let dir = tempfile::tempdir().unwrap();
        let caches = Arc::new(Caches::open(dir.path().join("mounts")).unwrap());
        let cancel = CancellationToken::new();
        let take = |sharing| caches.take("id", sharing, &cancel);
        let first = take(Sharing::Shared).unwrap();
        assert!(first.is_new());
        first.made(0o755, 0, 0).unwrap();
        drop(first);
        let first = take(Sharing::Shared).unwrap();
        let second = take(Sharing::Shared).unwrap();
        assert_eq!(first.data(), second.data());
        let own = take(Sharing::Private).unwrap();
        assert_ne!(own.data(), first.data());
        drop((second, own));
        // One that wants it alone waits for the other, or for its build's end.
        let (sender, taken) = std::sync::mpsc::channel();
        let waiting = {
            let (caches, cancel) = (Arc::clone(&caches), cancel.clone());
            std::thread::spawn(move || {
                sender.send(()).unwrap();
                caches.take("id", Sharing::Locked, &cancel).map(drop)
            })
        };
        taken.recv().unwrap();
        assert!(!caches.remove(first.path.file_name().unwrap().to_str().unwrap()));
        drop(first);
        waiting.join().unwrap().unwrap();
        let held = take(Sharing::Locked).unwrap();
        cancel.cancel();
        assert!(matches!(take(Sharing::Locked), Err(Error::Cancelled)));
        drop(held);
        assert_eq!(caches.records().len(), 2);
    }
}
