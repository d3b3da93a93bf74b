//! Who makes changes safe.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use swarm_api::Change;

use crate::error::Result;

/// Makes changes safe before they are applied.
#[async_trait]
pub trait Proposer: Send + Sync {
    /// Sees that the tables have all that was decided until now, also by a manager that led before, so
    /// that changes can be checked against them. Asked before each decision; nobody proposes in between.
    ///
    /// # Errors
    /// When this manager does not lead, or cannot know.
    async fn ready(&self) -> Result<()> {
        Ok(())
    }

    /// Appends `changes` to the log, as one entry, and answers its index when a majority has it for good.
    /// The caller applies them then; other managers do by themselves.
    ///
    /// # Errors
    /// When this manager does not lead, or the log cannot be written. Whether the changes were made is
    /// not known where the error came late: the caller sees it in the tables.
    async fn propose(&self, changes: &[Change]) -> Result<u64>;
}

/// A log that nobody keeps: for tests and simulations of what is above the store.
#[derive(Debug, Default)]
pub struct Alone(AtomicU64);

#[async_trait]
impl Proposer for Alone {
    async fn propose(&self, _changes: &[Change]) -> Result<u64> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
