//! One manager's folder: log, snapshots, vote and keys.
//!
//! ```text
//! keys                    the data keys, open or sealed with the unlock key
//! state                   who this is, its vote, the newest file of the log
//! log-0000000007 …        the log, in files that follow one another
//! snapshot-0000…0012345   the tables after that entry
//! ```
//!
//! docs/cluster-log.md has the format and the rules of recovery.

mod folder;
mod frame;
mod index;
mod keys;
mod log;
mod record;
mod recover;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::BasicNode;

use folder::Folder;
pub use folder::Hook;
use keys::Keys;
pub use keys::UnlockKey;
pub(crate) use log::Log;

use crate::error::{Error, Result};
use crate::types::{Entry, LogId, Membership, SnapshotMeta, Vote};

/// How a folder is kept.
#[derive(Clone)]
pub struct Options {
    /// How long a file of the log grows before a new one is begun.
    pub segment: u64,
    /// What a locked folder is opened by; a new folder is locked with it.
    pub unlock: Option<UnlockKey>,
    /// For tests: called at each durable step.
    pub hook: Option<Hook>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment: 16 << 20,
            unlock: None,
            hook: None,
        }
    }
}

/// What all parts of the folder use.
pub(crate) struct Shared {
    folder: Folder,
    keys: Mutex<Keys>,
    /// Held while a snapshot is read or written: the old one goes when there is a new one.
    snapshots: Mutex<()>,
    options: Options,
}

impl Shared {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshots(&self) -> MutexGuard<'_, ()> {
        let held = self.snapshots.lock();
        held.unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is on disk cannot be understood, though it is what was written.
fn damaged_by(path: &Path, offset: u64, error: &dyn std::fmt::Display) -> Error {
    Error::damaged(path, offset, error.to_string())
}

/// One manager's folder, open. It is locked against a second one that opens it.
#[derive(Clone)]
pub struct Disk {
    shared: Arc<Shared>,
    log: Arc<Mutex<Log>>,
    _lock: Arc<std::fs::File>,
}

impl Disk {
    /// Opens the folder at `path`, or makes a new one.
    ///
    /// # Errors
    /// When it is locked, damaged, of a newer version or another process's; nothing is changed then.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let folder = Folder::open(path, options.hook.clone())?;
        let lock = folder.lock()?;
        let keys = Keys::open(&folder, options.unlock.as_ref())?;
        let shared = Arc::new(Shared {
            folder,
            keys: Mutex::new(keys),
            snapshots: Mutex::default(),
            options,
        });
        let snapshot = snapshot::read(&shared)?;
        let log = recover::open(&shared, snapshot.and_then(|(meta, _)| meta.last_log_id))?;
        snapshot::tidy(&shared)?;
        let disk = Self {
            shared,
            log: Arc::new(Mutex::new(log)),
            _lock: Arc::new(lock),
        };
        disk.drop_keys()?;
        Ok(disk)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.shared.folder.path().to_owned()
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The manager's number; 0 of a new folder.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.log().id()
    }

    /// Gives a new folder to the manager with the number `id`, or sees that it is its.
    ///
    /// # Errors
    /// When it is another's, or cannot be written.
    pub fn claim(&self, id: u64) -> Result<()> {
        let mut log = self.log();
        match log.id() {
            0 => log.save_id(id),
            there if there == id => Ok(()),
            there => Err(Error::Identity {
                path: self.path(),
                there,
                wanted: id,
            }),
        }
    }

    /// Whether an unlock key is needed to open it.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.shared.keys().locked()
    }

    /// Locks the folder with another key, or with none: only the data keys are sealed anew.
    ///
    /// # Errors
    /// When they cannot be written; the key before holds then.
    pub fn lock(&self, unlock: Option<UnlockKey>) -> Result<()> {
        self.shared.keys().lock(&self.shared.folder, unlock)
    }

    /// Seals all that is written from now on with a new data key. The old one goes with the last file
    /// that needs it: after the next snapshot.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn rotate(&self) -> Result<()> {
        let mut log = self.log();
        self.shared.keys().rotate(&self.shared.folder)?;
        log.renew()
    }

    /// How many data keys there are.
    #[must_use]
    pub fn data_keys(&self) -> usize {
        self.shared.keys().count()
    }

    /// Drops data keys that no file is sealed with any more.
    pub(crate) fn drop_keys(&self) -> Result<()> {
        let log = self.log();
        if self.data_keys() == 1 {
            return Ok(());
        }
        let _held = self.shared.snapshots();
        let mut needed = log.data_keys();
        needed.extend(snapshot::data_keys(&self.shared)?);
        self.shared.keys().keep(&self.shared.folder, &needed)
    }

    pub(crate) fn write_snapshot(&self, meta: &SnapshotMeta, data: &[u8]) -> Result<()> {
        let _held = self.shared.snapshots();
        snapshot::write(&self.shared, meta, data)
    }

    pub(crate) fn read_snapshot(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>> {
        let _held = self.shared.snapshots();
        snapshot::read(&self.shared)
    }

    /// Makes this manager, at `addr`, the only one of its cluster, whatever became of the others: all that
    /// is in its log is kept, also what it does not know to be agreed on. The others must not come back
    /// but by joining anew.
    ///
    /// # Errors
    /// When the folder has no cluster's state, or cannot be written.
    pub fn force_new_cluster(&self, addr: &str) -> Result<()> {
        let mut log = self.log();
        let id = log.id();
        let Some(last) = log.last().filter(|_| id != 0) else {
            return Err(Error::Empty(self.path()));
        };
        let voted = log.vote().map_or(0, |vote| vote.leader_id.term);
        let term = voted.max(last.leader_id.term) + 1;
        // First the vote: nobody else can be followed in the term of the entry that comes after it.
        log.save_vote(Vote::new(term, id))?;
        let leader = openraft::CommittedLeaderId::new(term, id);
        let nodes = std::collections::BTreeMap::from([(id, BasicNode::new(addr))]);
        let members = Membership::new(vec![[id].into()], nodes);
        log.append(vec![Entry {
            log_id: LogId::new(leader, last.index + 1),
            payload: openraft::EntryPayload::Membership(members),
        }])
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Disk").field(&self.path()).finish()
    }
}
