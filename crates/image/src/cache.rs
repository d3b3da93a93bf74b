//! The build cache: what was made of which inputs.
//!
//! `cache/<key>.json`, one file a record. A record keeps its layer from being collected. Records
//! are not synced: one whose layer a power cut took is dropped with it, one that was lost is made
//! again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::blob::Temp;
use crate::build::{Held, StoredLayer};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::layer::Layers;
use crate::store::Store;

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// Digest of all that the step depends on.
    pub key: Digest,
    /// `regular`, `source.local`, …
    pub kind: String,
    /// The step, for people.
    pub description: String,
    /// Records that it stands on.
    #[serde(default)]
    pub parents: Vec<Digest>,
    /// What it wrote; nothing where it wrote nothing.
    #[serde(default)]
    pub layer: Option<StoredLayer>,
    /// What else is to be remembered.
    #[serde(default)]
    pub note: String,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339.
    pub last_used: String,
    /// How often it was used.
    pub uses: u64,
}

/// What became of records that were to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Those that went.
    pub keys: Vec<Digest>,
    /// Bytes of layers that nothing else has.
    pub bytes: u64,
}

/// A record, and who else has to do with it.
#[derive(Debug, Clone)]
pub struct CacheUse {
    /// The record.
    pub record: CacheRecord,
    /// An image or container has its layer, too.
    pub shared: bool,
    /// Something that goes on relies on its layer.
    pub in_use: bool,
}

/// Records in memory.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) all: HashMap<Digest, CacheRecord>,
    /// Used since they were written.
    used: HashSet<Digest>,
}

/// Reads what is there. A record that cannot be read, or whose layer is gone, goes.
pub(crate) fn read_all(dir: &Path, layers: &Layers) -> Result<Records> {
    let mut records = Records::default();
    for entry in std::fs::read_dir(dir).doing(|| format!("list {}", dir.display()))? {
        let path = entry.doing(|| format!("list {}", dir.display()))?.path();
        let record = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<CacheRecord>(&bytes).ok())
            .filter(|r| path.file_stem().and_then(|s| s.to_str()) == Some(r.key.hex()))
            .filter(|r| r.layer.as_ref().is_none_or(|l| layers.has(&l.diff_id)));
        match record {
            Some(record) => _ = records.all.insert(record.key.clone(), record),
            None => {
                std::fs::remove_file(&path).doing(|| format!("remove {}", path.display()))?;
            }
        }
    }
    Ok(records)
}

impl Store {
    fn record_path(&self, key: &Digest) -> PathBuf {
        self.0
            .root
            .join("cache")
            .join(format!("{}.json", key.hex()))
    }

    /// What a step came to the last time, and what keeps its layer.
    #[must_use]
    pub fn cached(&self, key: &Digest) -> Option<(CacheRecord, Held)> {
        let record = {
            let mut state = self.state();
            let record = state.cache.all.get_mut(key)?;
            record.uses += 1;
            record.last_used = jiff::Timestamp::now().to_string();
            let record = record.clone();
            state.cache.used.insert(key.clone());
            record
        };
        let held = self.hold(record.layer.as_slice());
        // Between the two it may have been forgotten, and its layer collected.
        let whole = record
            .layer
            .as_ref()
            .is_none_or(|l| self.0.layers.has(&l.diff_id));
        whole.then_some((record, held))
    }

    /// Remembers what a step came to. Whoever calls holds its layer.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn remember(&self, record: CacheRecord) -> Result<()> {
        let _only = self.cache_files();
        write(&self.record_path(&record.key), &self.0.temp, &record)?;
        let mut state = self.state();
        state.cache.all.insert(record.key.clone(), record);
        Ok(())
    }

    /// Held while a record's file changes, so that one that was forgotten is not written again.
    fn cache_files(&self) -> std::sync::MutexGuard<'_, ()> {
        let files = self.0.cache_files.lock();
        files.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes down which records were used.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn note_uses(&self) -> Result<()> {
        let used = std::mem::take(&mut self.state().cache.used);
        for key in used {
            let _only = self.cache_files();
            let Some(record) = self.state().cache.all.get(&key).cloned() else {
                continue;
            };
            write(&self.record_path(&key), &self.0.temp, &record)?;
        }
        Ok(())
    }

    /// All records.
    #[must_use]
    pub fn cache_records(&self) -> Vec<CacheUse> {
        let state = self.state();
        let images = state.images.values().flat_map(|i| i.diff_ids().iter());
        let containers = state.containers.values();
        let containers = containers.flat_map(|c| c.layers.iter().map(|l| &l.diff_id));
        let shared: HashSet<&Digest> = images.chain(containers).collect();
        let records = state.cache.all.values().map(|record| {
            let layer = record.layer.as_ref();
            CacheUse {
                shared: layer.is_some_and(|l| shared.contains(&l.diff_id)),
                in_use: layer.is_some_and(|l| state.pins.contains_key(&l.diff_id)),
                record: record.clone(),
            }
        });
        records.collect()
    }

    /// Removes records, and their layers where nothing else has them.
    ///
    /// # Errors
    /// When files cannot be removed.
    pub fn forget(&self, keys: &[Digest]) -> Result<Dropped> {
        let mut dropped = Dropped::default();
        let mut layers: HashMap<Digest, u64> = HashMap::new();
        for key in keys {
            let _only = self.cache_files();
            let path = self.record_path(key);
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(format!("remove {}", path.display()), e));
                }
                _ => {}
            }
            let mut state = self.state();
            state.cache.used.remove(key);
            if let Some(record) = state.cache.all.remove(key) {
                dropped.keys.push(record.key);
                layers.extend(record.layer.map(|l| (l.diff_id, l.files)));
            }
        }
        let trash = self.gc()?;
        let gone = layers.iter().filter(|(id, _)| !self.0.layers.has(id));
        dropped.bytes = gone.map(|(_, bytes)| bytes).sum();
        self.remove_later(trash);
        Ok(dropped)
    }
}

fn write(path: &Path, temp: &Temp, record: &CacheRecord) -> Result<()> {
    let bytes = serde_json::to_vec(record).map_err(|e| Error::Invalid(e.to_string()))?;
    let new = temp.path("record");
    sys::failpoint!("image.cache.record");
    std::fs::write(&new, bytes)
        .and_then(|()| std::fs::rename(&new, path))
        .doing(|| format!("write {}", path.display()))
}
