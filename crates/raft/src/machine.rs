//! What entries do once they are agreed on: they change the store.

use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, StorageIOError};
use store::{Store, Tables};

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::types::{
    Answer, Body, Entry, LogId, SnapshotMeta, StorageError, StoredMembership, Types,
};
use crate::{image, share};

type Stored<T> = std::result::Result<T, StorageError>;

/// The manager that makes a cluster has this number.
pub(crate) const FIRST: u64 = 1;

/// What a start finds in the newest snapshot.
pub(crate) struct Image {
    pub(crate) tables: Tables,
    last: Option<LogId>,
    membership: StoredMembership,
    next_member: u64,
}

impl Image {
    /// The newest snapshot; empty tables where there is none.
    pub(crate) fn read(disk: &Disk) -> Result<Self> {
        let Some((meta, data)) = disk.read_snapshot()? else {
            return Ok(Self {
                tables: Tables::default(),
                last: None,
                membership: StoredMembership::default(),
                next_member: FIRST + 1,
            });
        };
        let read = image::read(&data);
        let (tables, next_member) =
            read.map_err(|e| Error::damaged(&disk.path(), 0, format!("the snapshot: {e}")))?;
        Ok(Self {
            tables,
            last: meta.last_log_id,
            membership: meta.last_membership,
            next_member,
        })
    }
}

/// Applies entries to the store.
pub(crate) struct Machine {
    disk: Disk,
    store: Arc<Store>,
    last: Option<LogId>,
    membership: StoredMembership,
    next_member: u64,
    /// One snapshot is written at a time: one that is sent may come while one is made.
    writing: Arc<Mutex<Option<LogId>>>,
}

impl Machine {
    /// The store must have the image's tables.
    pub(crate) fn new(disk: Disk, store: Arc<Store>, image: &Image) -> Self {
        Self {
            disk,
            store,
            last: image.last,
            membership: image.membership.clone(),
            next_member: image.next_member,
            writing: Arc::new(Mutex::new(image.last)),
        }
    }

    fn apply_one(&mut self, entry: Entry) -> Answer {
        let id = entry.log_id;
        self.last = Some(id);
        match entry.payload {
            EntryPayload::Blank => Answer::Made,
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(id), membership);
                Answer::Made
            }
            EntryPayload::Normal(proposal) => match proposal.body {
                Body::Nothing => Answer::Made,
                Body::Member => {
                    let number = self.next_member;
                    self.next_member += 1;
                    Answer::Member(number)
                }
                Body::Changes(_) if proposal.term != id.leader_id.term => Answer::Refused,
                Body::Changes(changes) => {
                    let mut changes = Arc::unwrap_or_clone(changes);
                    share::changes(&self.store.view(), &mut changes);
                    self.store.apply(id.index, &changes);
                    Answer::Made
                }
            },
        }
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Stored<(Option<LogId>, StoredMembership)> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Stored<Vec<Answer>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        Ok(entries
            .into_iter()
            .map(|entry| self.apply_one(entry))
            .collect())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let index = self.last.map_or(0, |id| id.index);
        let term = self.last.map_or(0, |id| id.leader_id.term);
        Builder {
            disk: self.disk.clone(),
            // The objects are shared: this is a copy of the tables' shape only.
            tables: self.store.view().clone(),
            next_member: self.next_member,
            meta: SnapshotMeta {
                last_log_id: self.last,
                last_membership: self.membership.clone(),
                snapshot_id: format!("{term}-{index}"),
            },
            writing: self.writing.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Stored<Box<Cursor<Vec<u8>>>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Stored<()> {
        let (disk, writing, kept) = (self.disk.clone(), self.writing.clone(), meta.clone());
        let done = tokio::task::spawn_blocking(move || {
            let data = snapshot.into_inner();
            let read = image::read(&data).map_err(|e| Error::Failed(e.to_string()))?;
            write(&disk, &writing, &kept, &data)?;
            Ok::<_, Error>(read)
        });
        let (tables, next_member) = done
            .await
            .map_err(std::io::Error::other)
            .and_then(|done| done.map_err(std::io::Error::other))
            .map_err(|e| StorageIOError::write_snapshot(Some(meta.signature()), &e))?;
        self.store.replace(tables);
        self.last = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.next_member = next_member;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Stored<Option<Snapshot<Types>>> {
        let disk = self.disk.clone();
        let read = tokio::task::spawn_blocking(move || disk.read_snapshot()).await;
        let read = read
            .map_err(std::io::Error::other)
            .and_then(|read| read.map_err(std::io::Error::other))
            .map_err(|e| StorageIOError::read_snapshot(None, &e))?;
        Ok(read.map(|(meta, data)| Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(data)),
        }))
    }
}

/// Writes a snapshot, unless there is one of a later entry.
fn write(
    disk: &Disk,
    writing: &Mutex<Option<LogId>>,
    meta: &SnapshotMeta,
    data: &[u8],
) -> Result<()> {
    let mut newest = writing.lock().unwrap_or_else(PoisonError::into_inner);
    if *newest > meta.last_log_id {
        return Ok(());
    }
    disk.write_snapshot(meta, data)?;
    *newest = meta.last_log_id;
    Ok(())
}

/// Makes a snapshot of the tables as they were, while they change.
pub(crate) struct Builder {
    disk: Disk,
    tables: Tables,
    next_member: u64,
    meta: SnapshotMeta,
    writing: Arc<Mutex<Option<LogId>>>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    async fn build_snapshot(&mut self) -> Stored<Snapshot<Types>> {
        let tables = std::mem::take(&mut self.tables);
        let (disk, writing, meta) = (self.disk.clone(), self.writing.clone(), self.meta.clone());
        let next_member = self.next_member;
        let built = tokio::task::spawn_blocking(move || {
            let data = image::write(&tables, next_member);
            let data = data.map_err(|e| Error::Failed(e.to_string()))?;
            write(&disk, &writing, &meta, &data)?;
            Ok::<_, Error>(data)
        });
        let data = built
            .await
            .map_err(std::io::Error::other)
            .and_then(|built| built.map_err(std::io::Error::other))
            .map_err(|e| StorageIOError::write_snapshot(Some(self.meta.signature()), &e))?;
        Ok(Snapshot {
            meta: self.meta.clone(),
            snapshot: Box::new(Cursor::new(data)),
        })
    }
}
