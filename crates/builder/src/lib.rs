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
mod entitlements;
mod error;
mod export;
mod exports;
mod gc;
mod imports;
mod keys;
mod layout;
mod meta;
mod modes;
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
mod sweep;
mod temp;
mod transfers;
mod tree;
mod vars;
mod worker;

use std::{
    collections::BTreeMap,
    io::{BufRead, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use image::{CancellationToken, Store};
use types::build::{ContextAnswer, ContextUpdate};

pub use build::Upload;
pub use entitlements::Entitlements;
pub use error::{Error, Result};
pub use gc::{Amount, Bound, Rule};
pub use session::Listener;
pub use worker::{
    Command, Ended, Fetched, MountSource, OnOutput, OnProgress, StepMount, StepNetwork, Worker,
};

use caches::Caches;
use contexts::Contexts;
use pool::Pool;
use temp::TempDir;

/// Whoever relies on contents of the pool, until all of it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Busy(#[expect(dead_code, reason = "held, not read")] Arc<Since>);

/// Those who rely on contents by their numbers, and since when, in seconds since 1970.
type Active = Arc<Mutex<BTreeMap<u64, i64>>>;

/// One of them.
#[derive(Debug)]
struct Since {
    number: u64,
    active: Active,
}

impl Drop for Since {
    fn drop(&mut self) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.remove(&self.number);
    }
}

/// Builds images.
pub struct Builder {
    store: Store,
    worker: Arc<dyn Worker>,
    contexts: Arc<Contexts>,
    caches: Arc<Caches>,
    /// For what a command needs while it runs.
    temp: PathBuf,
    next: AtomicU64,
    active: Active,
    /// What is kept of the cache.
    bound: gc::Bound,
    entitlements: Entitlements,
    /// Held by who removes.
    sweeping: Mutex<()>,
    /// Whether somebody waits to keep the bound.
    waiting: AtomicBool,
}

impl Builder {
    /// Opens the builder below the daemon's data root, whose cache keeps `bound`.
    ///
    /// # Errors
    /// When a directory cannot be made or read.
    pub fn open(root: &Path, store: Store, worker: Arc<dyn Worker>, bound: Bound) -> Result<Self> {
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
            active: Active::default(),
            bound,
            entitlements: Entitlements::default(),
            sweeping: Mutex::default(),
            waiting: AtomicBool::new(false),
        })
    }

    /// The same builder, whose builds may be allowed `entitlements`.
    #[must_use]
    pub fn with(mut self, entitlements: Entitlements) -> Self {
        self.entitlements = entitlements;
        self
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

    /// Keeps contents from being removed that are used from now on.
    fn busy(&self) -> Busy {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.insert(number, pool::seconds());
        Busy(Arc::new(Since {
            number,
            active: Arc::clone(&self.active),
        }))
    }

    /// Contents that were used last before this moment, nobody relies on.
    fn unused_before(&self, by_itself: bool) -> i64 {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        match active.values().min() {
            Some(since) => since - gc::GRACE,
            // A client may have told of a context, and its build is on its way.
            None if by_itself => pool::seconds() - gc::GRACE,
            None => i64::MAX,
        }
    }

    fn temp_dir(&self) -> Result<TempDir> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        TempDir::new(self.temp.join(number.to_string()))
    }
}
