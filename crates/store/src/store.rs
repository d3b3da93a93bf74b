//! The store itself: reads, decisions, and changes as they are applied.

use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use swarm_api::Change;

use crate::error::{Error, Result};
use crate::proposer::Proposer;
use crate::tables::Tables;
use crate::watch::{Watch, Watchers};

/// The managers' store.
pub struct Store {
    inner: RwLock<Inner>,
    proposer: Arc<dyn Proposer>,
    /// One decision after the other: what is checked must still hold when it is applied.
    deciding: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Inner {
    tables: Tables,
    watchers: Watchers,
}

/// The tables as they are; nothing changes while it is held, so hold it shortly and not over an `await`.
pub struct View<'a>(RwLockReadGuard<'a, Inner>);

impl Deref for View<'_> {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        &self.0.tables
    }
}

impl Store {
    /// A store with these tables, whose changes `proposer` makes safe.
    #[must_use]
    pub fn new(tables: Tables, proposer: Arc<dyn Proposer>) -> Self {
        Self {
            inner: RwLock::new(Inner {
                tables,
                watchers: Watchers::default(),
            }),
            proposer,
            deciding: tokio::sync::Mutex::default(),
        }
    }

    /// The tables as they are.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View(self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What `read` makes of the tables as they are, and a watch of every change from then on.
    pub fn watch<T>(&self, read: impl FnOnce(&Tables) -> T) -> (T, Watch) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let watch = inner.watchers.add();
        (read(&inner.tables), watch)
    }

    /// Makes all changes, or none of them.
    ///
    /// # Errors
    /// When one of them was made from another state than there is, or they cannot be made safe.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<u64> {
        let _deciding = self.deciding.lock().await;
        self.proposer.ready().await?;
        let checked = self.checked(changes).map_err(|(_, error)| error)?;
        self.propose(checked).await
    }

    /// Makes those of the changes that were made from the state that there is, together, and answers the
    /// others with what is wrong with each: what loops decide for many objects at once.
    ///
    /// # Errors
    /// When they cannot be made safe.
    pub async fn commit_each(&self, changes: Vec<Change>) -> Result<Vec<(Change, Error)>> {
        let _deciding = self.deciding.lock().await;
        self.proposer.ready().await?;
        let mut good = Vec::with_capacity(changes.len());
        let mut refused = Vec::new();
        {
            let view = self.view();
            for change in changes {
                match view.check(&change) {
                    Ok(()) => good.push(change),
                    Err(error) => refused.push((change, error)),
                }
            }
        }
        if !good.is_empty() {
            self.propose(good).await?;
        }
        Ok(refused)
    }

    /// Decides from the tables as they are, and makes what was decided: nobody else does meanwhile.
    ///
    /// # Errors
    /// Those of `decide`, and those of [`Store::commit`].
    pub async fn update<T, E: From<Error>>(
        &self,
        decide: impl FnOnce(&Tables) -> std::result::Result<(Vec<Change>, T), E>,
    ) -> std::result::Result<T, E> {
        let _deciding = self.deciding.lock().await;
        self.proposer.ready().await?;
        let (changes, answer) = decide(&self.view())?;
        if !changes.is_empty() {
            let checked = self.checked(changes).map_err(|(_, error)| error)?;
            self.propose(checked).await?;
        }
        Ok(answer)
    }

    /// Applies what another manager decided, or what the log on disk has.
    pub fn apply(&self, index: u64, changes: &[Change]) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        // A proposer may apply what it made safe before who proposed it does.
        if index <= inner.tables.index() {
            return;
        }
        let events = inner.tables.apply(index, changes);
        inner.watchers.tell(Some(&events));
    }

    /// Puts tables of a snapshot in the place of those that there are.
    pub fn replace(&self, tables: Tables) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.tables = tables;
        inner.watchers.tell(None);
    }

    fn checked(&self, changes: Vec<Change>) -> std::result::Result<Vec<Change>, (Change, Error)> {
        let view = self.view();
        for change in &changes {
            if let Err(error) = view.check(change) {
                return Err((change.clone(), error));
            }
        }
        Ok(changes)
    }

    async fn propose(&self, changes: Vec<Change>) -> Result<u64> {
        let index = self.proposer.propose(&changes).await?;
        self.apply(index, &changes);
        Ok(index)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("index", &self.view().index())
            .finish_non_exhaustive()
    }
}
