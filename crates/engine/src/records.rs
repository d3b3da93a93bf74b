//! Definitions on disk: what must be there after a power cut. One `redb` file; every commit is
//! durable, because one that is not is lost by kill -9 too. Commits come from one thread that
//! takes all changes waiting at that moment into one transaction.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use crate::error::{Error, Result};

const CONTAINERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("containers");
const VOLUMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("volumes");
const NETWORKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("networks");

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Containers,
    Volumes,
    Networks,
}

impl Table {
    fn definition(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        match self {
            Self::Containers => CONTAINERS,
            Self::Volumes => VOLUMES,
            Self::Networks => NETWORKS,
        }
    }
}

struct Change {
    table: Table,
    key: String,
    /// `None` removes.
    value: Option<Vec<u8>>,
    done: oneshot::Sender<Result<()>>,
}

/// The records of one daemon.
#[derive(Clone)]
pub(crate) struct Records {
    path: Arc<Path>,
    requests: mpsc::Sender<Request>,
}

/// What the thread that owns the file is asked.
enum Request {
    Change(Change),
    Read(Table, oneshot::Sender<Result<Vec<Row>>>),
}

type Row = (String, Vec<u8>);

fn failed(path: &Path, what: &'static str, source: impl Into<redb::Error>) -> Error {
    Error::Records {
        path: path.display().to_string(),
        what,
        source: Box::new(source.into()),
    }
}

impl Records {
    /// Opens or makes the file; two daemons cannot share it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let (requests, waiting) = mpsc::channel();
        thread::Builder::new()
            .name("records".into())
            .spawn(move || file.serve(&waiting))
            .map_err(Error::io("start the thread that writes records"))?;
        Ok(Self {
            path: path.into(),
            requests,
        })
    }

    /// All records of `table`. One that cannot be read is an error that names it: going on
    /// without it would leave its container running unseen.
    pub(crate) async fn all<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<T>> {
        let (sender, rows) = oneshot::channel();
        self.requests
            .send(Request::Read(table, sender))
            .map_err(|_| self.gone())?;
        let rows = rows.await.map_err(|_| self.gone())??;
        rows.into_iter()
            .map(|(key, value)| {
                serde_json::from_slice(&value).map_err(|e| Error::Io {
                    what: format!("the record of {key} in {}", self.path.display()),
                    source: e.into(),
                })
            })
            .collect()
    }

    /// Writes a record; it is safe when this returns.
    pub(crate) async fn put<T: Serialize>(&self, table: Table, key: &str, value: &T) -> Result<()> {
        let value = serde_json::to_vec(value).map_err(|e| Error::Io {
            what: format!("write the record of {key}"),
            source: e.into(),
        })?;
        self.change(table, key, Some(value)).await
    }

    /// Removes a record, if it is there.
    pub(crate) async fn remove(&self, table: Table, key: &str) -> Result<()> {
        self.change(table, key, None).await
    }

    async fn change(&self, table: Table, key: &str, value: Option<Vec<u8>>) -> Result<()> {
        let (done, wait) = oneshot::channel();
        let change = Change {
            table,
            key: key.to_owned(),
            value,
            done,
        };
        self.requests
            .send(Request::Change(change))
            .map_err(|_| self.gone())?;
        wait.await.map_err(|_| self.gone())?
    }

    fn gone(&self) -> Error {
        Error::Io {
            what: format!("the records in {} are closed", self.path.display()),
            source: io::ErrorKind::BrokenPipe.into(),
        }
    }
}

/// Bytes kept back on disk for the time when it is full: removing a container, which is what makes
/// room, has to write too.
const RESERVE: u64 = 4 << 20;

/// The file; only its thread touches it.
struct File {
    path: PathBuf,
    /// `None` only while it is opened again.
    database: Option<Database>,
}

impl File {
    fn open(path: &Path) -> Result<Self> {
        let mut file = Self {
            path: path.into(),
            database: None,
        };
        file.reopen().map_err(|e| failed(path, "opened", e))?;
        file.keep_reserve();
        Ok(file)
    }

    /// redb takes nothing more after an I/O error until it is opened again.
    fn reopen(&mut self) -> std::result::Result<(), redb::Error> {
        self.database = None;
        let mut builder = Database::builder();
        // Definitions of a host fit many times; the default would let the cache grow to 1 GiB.
        builder.set_cache_size(1 << 20);
        let database = builder.create(&self.path)?;
        if database.begin_read()?.list_tables()?.count() < 2 {
            let transaction = database.begin_write()?;
            transaction.open_table(CONTAINERS)?;
            transaction.open_table(VOLUMES)?;
            transaction.open_table(NETWORKS)?;
            transaction.commit()?;
        }
        self.database = Some(database);
        Ok(())
    }

    fn database(&mut self) -> std::result::Result<&Database, redb::Error> {
        if self.database.is_none() {
            self.reopen()?;
        }
        self.database.as_ref().ok_or(redb::Error::PreviousIo)
    }

    fn reserve(&self) -> PathBuf {
        self.path.with_extension("reserve")
    }

    /// Best effort: a disk that is full now gets its reserve when it is not.
    fn keep_reserve(&self) {
        let keep = || -> io::Result<()> {
            let file = fs::File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(self.reserve())?;
            if file.metadata()?.len() < RESERVE {
                let flags = rustix::fs::FallocateFlags::empty();
                rustix::fs::fallocate(&file, flags, 0, RESERVE)?;
            }
            Ok(())
        };
        if keep().is_err() {
            // Part of a reserve would only take room.
            let _ = fs::remove_file(self.reserve());
        }
    }

    fn serve(mut self, requests: &mpsc::Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let (mut batch, mut reads) = (Vec::new(), Vec::new());
            for request in std::iter::once(first).chain(requests.try_iter()) {
                match request {
                    Request::Change(change) => batch.push(change),
                    Request::Read(table, answer) => reads.push((table, answer)),
                }
            }
            if !batch.is_empty() {
                self.write_all(batch);
            }
            for (table, answer) in reads {
                let rows = self.read(table).map_err(|e| failed(&self.path, "read", e));
                // A reader that went away does not need to know.
                let _ = answer.send(rows);
            }
        }
    }

    fn write_all(&mut self, batch: Vec<Change>) {
        let mut outcome = self.write(&batch);
        if let Err(error) = &outcome {
            tracing::warn!(%error, "records could not be written; trying again with the reserve");
            let had_reserve = fs::remove_file(self.reserve()).is_ok();
            outcome = self.reopen().and_then(|()| self.write(&batch));
            if had_reserve && outcome.is_ok() {
                self.keep_reserve();
            }
        }
        // The failure is each waiter's own: redb's error cannot be cloned, its text can.
        let outcome = outcome.map_err(|e| e.to_string());
        for change in batch {
            let answer = outcome.clone().map_err(|text| {
                failed(
                    &self.path,
                    "written",
                    redb::Error::Io(io::Error::other(text)),
                )
            });
            // A waiter that went away does not need to know.
            let _ = change.done.send(answer);
        }
    }

    fn write(&mut self, batch: &[Change]) -> std::result::Result<(), redb::Error> {
        let transaction = self.database()?.begin_write()?;
        for change in batch {
            let mut table = transaction.open_table(change.table.definition())?;
            match &change.value {
                Some(value) => table.insert(change.key.as_str(), value.as_slice())?,
                None => table.remove(change.key.as_str())?,
            };
        }
        sys::failpoint!("engine.records.commit");
        Ok(transaction.commit()?)
    }

    fn read(&mut self, table: Table) -> std::result::Result<Vec<Row>, redb::Error> {
        let transaction = self.database()?.begin_read()?;
        let table = transaction.open_table(table.definition())?;
        let mut rows = Vec::new();
        for row in table.iter()? {
            let (key, value) = row?;
            rows.push((key.value().to_owned(), value.value().to_vec()));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_put_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.redb");
        {
            let records = Records::open(&path).unwrap();
            records.put(Table::Containers, "a", &1).await.unwrap();
            records.put(Table::Containers, "b", &2).await.unwrap();
            records.remove(Table::Containers, "a").await.unwrap();
            assert!(
                Records::open(&path).is_err(),
                "a second daemon must not get the same file"
            );
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let records = loop {
            // The writer's thread lets go of the file a moment after its last sender is gone.
            match Records::open(&path) {
                Ok(records) => break records,
                Err(e) => assert!(std::time::Instant::now() < deadline, "{e}"),
            }
        };
        assert_eq!(records.all::<i32>(Table::Containers).await.unwrap(), [2]);
        assert!(records.all::<i32>(Table::Volumes).await.unwrap().is_empty());
    }
}
