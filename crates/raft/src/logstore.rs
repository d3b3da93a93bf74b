//! The log on disk as `openraft` wants it.

use std::fmt::Debug;
use std::ops::{Bound, Range, RangeBounds};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader, StorageIOError};

use crate::disk::{Disk, Log};
use crate::error::Result;
use crate::types::{Entry, LogId, StorageError, Types, Vote};

/// What is sent to another manager at once, as it is on disk: it must get there and onto its disk within
/// one heartbeat.
const SEND: usize = 512 << 10;

/// The log of this manager.
#[derive(Debug, Clone)]
pub(crate) struct LogStore(pub(crate) Disk);

impl LogStore {
    /// Runs on a thread that may wait for the disk.
    async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Log) -> Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        let disk = self.0.clone();
        let done = tokio::task::spawn_blocking(move || run(&mut disk.log())).await;
        done.map_err(std::io::Error::other)?
            .map_err(std::io::Error::other)
    }

    async fn entries(
        &self,
        range: Range<u64>,
        limit: usize,
    ) -> std::result::Result<Vec<Entry>, StorageError> {
        let read = self.run(move |log| log.read(range, limit)).await;
        read.map_err(|e| StorageIOError::read_logs(&e).into())
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> std::result::Result<Vec<Entry>, StorageError> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.entries(start..end, usize::MAX).await
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> std::result::Result<Vec<Entry>, StorageError> {
        self.entries(start..end, SEND).await
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> std::result::Result<LogState<Types>, StorageError> {
        let log = self.0.log();
        Ok(LogState {
            last_purged_log_id: log.purged(),
            last_log_id: log.last(),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> std::result::Result<(), StorageError> {
        let vote = *vote;
        let saved = self.run(move |log| log.save_vote(vote)).await;
        saved.map_err(|e| StorageIOError::write_vote(&e).into())
    }

    async fn read_vote(&mut self) -> std::result::Result<Option<Vote>, StorageError> {
        Ok(self.0.log().vote())
    }

    /// Kept in memory, and durable with the next entries: it costs no fsync of its own, and a start that
    /// knows an older one only has less to apply until a leader tells it more.
    async fn save_committed(
        &mut self,
        committed: Option<LogId>,
    ) -> std::result::Result<(), StorageError> {
        self.0.log().commit(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> std::result::Result<Option<LogId>, StorageError> {
        Ok(self.0.log().committed())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> std::result::Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        match self.run(move |log| log.append(entries)).await {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            // `openraft` ends then: a leader that cannot write leads no more, and nobody is told that
            // the entry is kept.
            Err(error) => {
                tracing::error!(%error, "the cluster's log cannot be written; this manager stops");
                let storage = StorageIOError::write_logs(&error).into();
                callback.log_io_completed(Err(error));
                Err(storage)
            }
        }
    }

    async fn truncate(&mut self, id: LogId) -> std::result::Result<(), StorageError> {
        let done = self.run(move |log| log.truncate(id.index)).await;
        done.map_err(|e| StorageIOError::write_logs(&e).into())
    }

    async fn purge(&mut self, id: LogId) -> std::result::Result<(), StorageError> {
        let done = self.run(move |log| log.purge(id)).await;
        done.map_err(|e| StorageError::from(StorageIOError::write_logs(&e)))?;
        let disk = self.0.clone();
        let done = tokio::task::spawn_blocking(move || disk.drop_keys()).await;
        if let Ok(Err(error)) = done {
            // They are dropped at the next start, or snapshot.
            tracing::warn!(%error, "old data keys were not dropped");
        }
        Ok(())
    }
}
