//! Building images from Dockerfiles: what a file says becomes a graph of stages, each step of which
//! is keyed by the content of its inputs.
//!
//! Everything here blocks; whoever calls gives a build a thread. Commands are run and registries
//! asked by a [`Worker`].

mod build;
mod caches;
mod call;
mod contexts;
mod copy;
mod draft;
mod error;
mod exports;
mod imports;
mod keys;
mod meta;
mod mounts;
mod place;
mod plan;
mod pool;
mod prune;
mod remote;
mod run;
mod select;
mod session;
mod solve;
mod stage;
mod temp;
mod tree;
mod vars;
mod worker;

use std::{
    io::{BufRead, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use image::{CancellationToken, Store};
use types::build::{ContextAnswer, ContextUpdate};

pub use build::Upload;
pub use error::{Error, Result};
pub use session::Listener;
pub use worker::{
    Command, Ended, Fetched, MountSource, OnOutput, OnProgress, StepMount, StepNetwork, Worker,
};

use caches::Caches;
use contexts::Contexts;
use pool::Pool;
use temp::TempDir;

/// Whoever relies on contents of the pool.
#[derive(Debug, Clone, Default)]
pub(crate) struct Busy(Arc<()>);

/// Builds images.
pub struct Builder {
    store: Store,
    worker: Arc<dyn Worker>,
    contexts: Arc<Contexts>,
    caches: Arc<Caches>,
    /// For what a command needs while it runs.
    temp: PathBuf,
    next: AtomicU64,
    /// Held by who removes contents, and by who begins to rely on some.
    gate: Mutex<()>,
    /// As many as there are who rely on contents that no context may name, and one.
    active: Busy,
}

impl Builder {
    /// Opens the builder below the daemon's data root.
    ///
    /// # Errors
    /// When a directory cannot be made or read.
    pub fn open(root: &Path, store: Store, worker: Arc<dyn Worker>) -> Result<Self> {
        let root = root.join("build");
        pool::private_dir(&root)?;
        let temp = root.join("tmp");
        match std::fs::remove_dir_all(&temp) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("empty {}", temp.display()))(e));
            }
            _ => {}
        }
        pool::private_dir(&temp)?;
        Ok(Self {
            store,
            worker,
            contexts: Arc::new(Contexts::new(Pool::open(root.join("pool"))?)),
            caches: Arc::new(Caches::open(root.join("mounts"))?),
            temp,
            next: AtomicU64::new(0),
            gate: Mutex::default(),
            active: Busy::default(),
        })
    }

    /// Takes in what a client tells of a context.
    ///
    /// # Errors
    /// When its base is not known, or a path or digest is none.
    pub fn context(&self, update: ContextUpdate) -> Result<ContextAnswer> {
        self.contexts.update(update)
    }

    /// Takes in contents, see [`types::build::content_header`].
    ///
    /// # Errors
    /// When one is not what it was announced as, or the disk is full.
    pub fn contents(&self, source: impl Read, cancel: &CancellationToken) -> Result<()> {
        let _busy = self.busy();
        self.contexts.pool.receive(source, cancel)
    }

    /// Takes a whole context in as an archive.
    ///
    /// # Errors
    /// When it is damaged, leads out of itself, or the disk is full.
    pub fn upload(&self, source: impl BufRead, cancel: &CancellationToken) -> Result<Upload> {
        let busy = self.busy();
        Ok(Upload(self.contexts.unpack(source, cancel)?, busy))
    }

    /// Keeps contents from being removed.
    fn busy(&self) -> Busy {
        let _gate = self.gate();
        self.active.clone()
    }

    fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps everybody from beginning to rely on contents, where nobody does now.
    fn alone(&self) -> Option<MutexGuard<'_, ()>> {
        let gate = self.gate();
        (Arc::strong_count(&self.active.0) == 1).then_some(gate)
    }

    fn temp_dir(&self) -> Result<TempDir> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        TempDir::new(self.temp.join(number.to_string()))
    }
}
