//! Definitions on disk: what must be there after a power cut. One `redb` file; every commit is
//! durable, because one that is not is lost by kill -9 too. Commits come from one thread that
//! takes all changes waiting at that moment into one transaction.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use crate::error::{Error, Result};

const CONTAINERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("containers");
const VOLUMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("volumes");

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Containers,
    Volumes,
}

impl Table {
    fn definition(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        match self {
            Self::Containers => CONTAINERS,
            Self::Volumes => VOLUMES,
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
    path: Arc<str>,
    database: Arc<Database>,
    changes: mpsc::Sender<Change>,
}

fn failed(path: &str, what: &'static str, source: impl Into<redb::Error>) -> Error {
    Error::Records {
        path: path.to_owned(),
        what,
        source: Box::new(source.into()),
    }
}

impl Records {
    /// Opens or makes the file; two daemons cannot share it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name: Arc<str> = path.display().to_string().into();
        let mut builder = Database::builder();
        // Definitions of a host fit many times; the default would let the cache grow to 1 GiB.
        builder.set_cache_size(1 << 20);
        let database = builder
            .create(path)
            .map_err(|e| failed(&name, "opened", e))?;
        let start = || -> std::result::Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            transaction.open_table(CONTAINERS)?;
            transaction.open_table(VOLUMES)?;
            Ok(transaction.commit()?)
        };
        start().map_err(|e| failed(&name, "prepared", e))?;
        let database = Arc::new(database);
        let (changes, waiting) = mpsc::channel();
        let writer = (Arc::clone(&database), Arc::clone(&name));
        thread::Builder::new()
            .name("records".into())
            .spawn(move || write_loop(&writer.0, &writer.1, &waiting))
            .map_err(Error::io("start the thread that writes records"))?;
        Ok(Self {
            path: name,
            database,
            changes,
        })
    }

    /// All records of `table`. One that cannot be read is an error that names it: going on
    /// without it would leave its container running unseen.
    pub(crate) fn all<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<T>> {
        let read = || -> std::result::Result<Vec<(String, Vec<u8>)>, redb::Error> {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(table.definition())?;
            let mut rows = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                rows.push((key.value().to_owned(), value.value().to_vec()));
            }
            Ok(rows)
        };
        let rows = read().map_err(|e| failed(&self.path, "read", e))?;
        rows.into_iter()
            .map(|(key, value)| {
                serde_json::from_slice(&value).map_err(|e| Error::Io {
                    what: format!("the record of {key} in {}", self.path),
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
        let gone = || Error::Io {
            what: format!("the records in {} are closed", self.path),
            source: std::io::ErrorKind::BrokenPipe.into(),
        };
        self.changes.send(change).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

fn write_loop(database: &Database, path: &str, changes: &mpsc::Receiver<Change>) {
    while let Ok(first) = changes.recv() {
        let mut batch = vec![first];
        batch.extend(changes.try_iter());
        let write = || -> std::result::Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            for change in &batch {
                let mut table = transaction.open_table(change.table.definition())?;
                match &change.value {
                    Some(value) => table.insert(change.key.as_str(), value.as_slice())?,
                    None => table.remove(change.key.as_str())?,
                };
            }
            sys::failpoint!("engine.records.commit");
            Ok(transaction.commit()?)
        };
        // The failure is each waiter's own: redb's error cannot be cloned, its text can.
        let outcome = write().map_err(|e| e.to_string());
        for change in batch {
            let answer = outcome.clone().map_err(|text| {
                failed(
                    path,
                    "written",
                    redb::Error::Io(std::io::Error::other(text)),
                )
            });
            // A waiter that went away does not need to know.
            let _ = change.done.send(answer);
        }
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
        assert_eq!(records.all::<i32>(Table::Containers).unwrap(), [2]);
        assert!(records.all::<i32>(Table::Volumes).unwrap().is_empty());
    }
}
