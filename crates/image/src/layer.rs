//! Unpacked layers: `layers/<diff-id>/{diff/,meta.json}`.
//!
//! A layer is unpacked under a temporary name and renamed when it is whole and its digest is
//! right, so a name in `layers/` always means a whole layer. Its thousands of files are not
//! synced one by one; until one `syncfs` has covered them, `meta.json` carries the boot id, and
//! a layer of an earlier boot that was never synced is thrown away: its blob is durable, and it
//! is unpacked again when it is needed.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::blob::{Temp, TempPath};
use crate::decompress::{Compression, Unpacked};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::tree::Tree;
use crate::unpack::{Limits, RootAttributes, unpack};

const META: &str = "meta.json";
pub(crate) const DIFF: &str = "diff";

/// What is written beside an unpacked layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerMeta {
    /// Of this file's form.
    pub(crate) version: u32,
    pub(crate) diff_id: Digest,
    /// Bytes of all its regular files.
    pub(crate) size: u64,
    /// The boot in which it was unpacked.
    pub(crate) boot_id: String,
    /// Whether it has been synced.
    pub(crate) durable: bool,
    pub(crate) root: Option<RootAttributes>,
    pub(crate) root_opaque: bool,
    /// Tells a layer from one that was here before it with the same content.
    #[serde(skip)]
    generation: u64,
}

/// A whole layer that is not in its place yet. Dropped, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Staged {
    path: TempPath,
    pub(crate) meta: LayerMeta,
    pub(crate) compression: Compression,
}

/// All unpacked layers.
#[derive(Debug)]
pub(crate) struct Layers {
    dir: PathBuf,
    boot_id: String,
    known: Mutex<HashMap<Digest, LayerMeta>>,
    /// Layers that were given names since the opening.
    published: AtomicU64,
    /// Whether a thread is syncing.
    syncing: Mutex<bool>,
}

fn write_meta(dir: &Path, temp: &Path, meta: &LayerMeta) -> Result<()> {
    let bytes = serde_json::to_vec(meta).map_err(|e| Error::Invalid(e.to_string()))?;
    let path = dir.join(META);
    let write = || {
        File::create(temp)?.write_all(&bytes)?;
        std::fs::rename(temp, &path)
    };
    write().doing(|| format!("write {}", path.display()))
}

impl Layers {
    /// Reads what is there. Layers that cannot be relied on are moved away and go with `trash`.
    pub(crate) fn open(dir: PathBuf, temp: &Temp, trash: &mut Vec<TempPath>) -> Result<Self> {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .doing(|| "read the boot id".to_owned())?
            .trim()
            .to_owned();
        let mut known = HashMap::new();
        for entry in std::fs::read_dir(&dir).doing(|| format!("list {}", dir.display()))? {
            let entry = entry.doing(|| format!("list {}", dir.display()))?;
            let meta = std::fs::read(entry.path().join(META))
                .ok()
                .and_then(|bytes| serde_json::from_slice::<LayerMeta>(&bytes).ok())
                .filter(|meta| entry.file_name().to_str() == Some(meta.diff_id.hex()))
                .filter(|meta| meta.version == 1 && (meta.durable || meta.boot_id == boot_id));
            match meta {
                Some(meta) => {
                    known.insert(meta.diff_id.clone(), meta);
                }
                None => {
                    tracing::warn!(layer = %entry.path().display(),
                        "unpacked layer may be incomplete, it will be unpacked again when needed");
                    let aside = temp.path("trash");
                    sys::failpoint!("image.layer.discard");
                    std::fs::rename(entry.path(), &aside)
                        .doing(|| format!("discard {}", entry.path().display()))?;
                    trash.push(TempPath(aside));
                }
            }
        }
        Ok(Self {
            dir,
            boot_id,
            known: Mutex::new(known),
            published: AtomicU64::new(0),
            syncing: Mutex::new(false),
        })
    }

    pub(crate) fn get(&self, diff_id: &Digest) -> Option<LayerMeta> {
        self.lock().get(diff_id).cloned()
    }

    pub(crate) fn has(&self, diff_id: &Digest) -> bool {
        self.lock().contains_key(diff_id)
    }

    pub(crate) fn all(&self) -> Vec<Digest> {
        self.lock().keys().cloned().collect()
    }

    pub(crate) fn diff(&self, diff_id: &Digest) -> PathBuf {
        self.dir.join(diff_id.hex()).join(DIFF)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, LayerMeta>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unpacks a layer without giving it its name. `expected` is its digest, when it is known.
    pub(crate) fn stage(
        &self,
        temp: &Temp,
        what: &str,
        source: impl BufRead,
        expected: Option<&Digest>,
        limits: Limits,
        cancel: &CancellationToken,
    ) -> Result<Staged> {
        let source =
            Unpacked::new(source, limits.layer_bytes).map_err(|e| unpack_error(what, e, cancel))?;
        self.stage_unpacked(temp, what, source, expected, limits, cancel)
    }

    /// [`Self::stage`] of what is unpacked already.
    pub(crate) fn stage_unpacked(
        &self,
        temp: &Temp,
        what: &str,
        source: Unpacked<'_>,
        expected: Option<&Digest>,
        limits: Limits,
        cancel: &CancellationToken,
    ) -> Result<Staged> {
        let path = temp.path("layer");
        sys::failpoint!("image.layer.stage");
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .doing(|| format!("create {}", path.display()))?;
        let path = TempPath(path);
        let diff = path.0.join(DIFF);
        DirBuilder::new()
            .mode(0o755)
            .create(&diff)
            .doing(|| format!("create {}", diff.display()))?;
        let fail = |e: io::Error| unpack_error(what, e, cancel);
        let mut tree = Tree::new(&diff).map_err(fail)?;
        let (outcome, source) = unpack(&mut tree, source, limits, cancel).map_err(fail)?;
        if outcome.root.is_none() {
            rustix::fs::fchmod(tree.root(), rustix::fs::Mode::from(0o755))
                .doing(|| format!("unpack {what}"))?;
        }
        let compression = source.compression();
        let diff_id = source.digest();
        if let Some(expected) = expected
            && *expected != diff_id
        {
            return Err(Error::Digest {
                what: format!("unpacked {what}"),
                expected: expected.to_string(),
                actual: diff_id.to_string(),
            });
        }
        let meta = LayerMeta {
            version: 1,
            diff_id,
            size: outcome.size,
            boot_id: self.boot_id.clone(),
            durable: false,
            root: outcome.root,
            root_opaque: outcome.root_opaque,
            generation: 0,
        };
        write_meta(&path.0, &path.0.join("meta.new"), &meta)?;
        Ok(Staged {
            path,
            meta,
            compression,
        })
    }

    /// Makes a layer of a directory that has an overlay's form already. The directory is moved.
    pub(crate) fn adopt(
        &self,
        temp: &Temp,
        upper: &Path,
        diff_id: &Digest,
        size: u64,
    ) -> Result<Staged> {
        let path = temp.path("layer");
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .doing(|| format!("create {}", path.display()))?;
        let path = TempPath(path);
        let diff = path.0.join(DIFF);
        sys::failpoint!("image.layer.adopt");
        std::fs::rename(upper, &diff).doing(|| format!("store layer {diff_id}"))?;
        let meta = LayerMeta {
            version: 1,
            diff_id: diff_id.clone(),
            size,
            boot_id: self.boot_id.clone(),
            durable: false,
            root: None,
            root_opaque: false,
            generation: 0,
        };
        write_meta(&path.0, &path.0.join("meta.new"), &meta)?;
        Ok(Staged {
            path,
            meta,
            compression: Compression::None,
        })
    }

    /// Waits until these layers survive a power cut, and with them everything on their disk.
    pub(crate) fn sync_if_needed<'a>(
        &self,
        temp: &Temp,
        layers: impl Iterator<Item = &'a Digest>,
    ) -> Result<()> {
        let pending: Vec<_> = layers
            .filter_map(|layer| self.get(layer))
            .filter(|meta| !meta.durable)
            .collect();
        if pending.is_empty() {
            return Ok(());
        }
        self.sync_now(temp, &pending)
    }

    /// Gives a layer its name. When somebody else was faster, theirs is used.
    pub(crate) fn publish(&self, staged: &Staged) -> Result<()> {
        let mut known = self.lock();
        if known.contains_key(&staged.meta.diff_id) {
            return Ok(());
        }
        let target = self.dir.join(staged.meta.diff_id.hex());
        sys::failpoint!("image.layer.rename");
        std::fs::rename(&staged.path.0, &target)
            .doing(|| format!("store layer {}", staged.meta.diff_id))?;
        let meta = LayerMeta {
            generation: self.published.fetch_add(1, Ordering::Relaxed) + 1,
            ..staged.meta.clone()
        };
        known.insert(meta.diff_id.clone(), meta);
        Ok(())
    }

    /// Takes a layer out of its place; its files are removed by whoever drops the result.
    pub(crate) fn take(&self, diff_id: &Digest, temp: &Temp) -> Result<TempPath> {
        let mut known = self.lock();
        let path = temp.path("trash");
        sys::failpoint!("image.layer.remove");
        std::fs::rename(self.dir.join(diff_id.hex()), &path)
            .doing(|| format!("remove layer {diff_id}"))?;
        known.remove(diff_id);
        Ok(TempPath(path))
    }

    /// Syncs in the background and marks what that covered.
    pub(crate) fn sync_later(self: &Arc<Self>, temp: &Arc<Temp>) {
        {
            let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
            if *syncing {
                return;
            }
            *syncing = true;
        }
        let (layers, temp) = (Arc::clone(self), Arc::clone(temp));
        let started = std::thread::Builder::new().name("layer-sync".to_owned()).spawn(move || {
            while let Some(pending) = layers.pending_sync() {
                if let Err(error) = layers.sync_now(&temp, &pending) {
                    tracing::warn!(%error, "cannot make layers durable; it is tried again later");
                    break;
                }
            }
            *layers.syncing.lock().unwrap_or_else(PoisonError::into_inner) = false;
        });
        if let Err(error) = started {
            tracing::warn!(%error, "cannot start the thread that makes layers durable");
            *self.syncing.lock().unwrap_or_else(PoisonError::into_inner) = false;
        }
    }

    fn pending_sync(&self) -> Option<Vec<LayerMeta>> {
        let pending: Vec<_> = self
            .lock()
            .values()
            .filter(|meta| !meta.durable)
            .cloned()
            .collect();
        if pending.is_empty() {
            // Under the same eyes as the question, or a layer that comes now would be missed.
            *self.syncing.lock().unwrap_or_else(PoisonError::into_inner) = false;
            return None;
        }
        Some(pending)
    }

    fn sync_now(&self, temp: &Temp, pending: &[LayerMeta]) -> Result<()> {
        let what = || format!("sync the file system of {}", self.dir.display());
        let dir = File::open(&self.dir).doing(what)?;
        sys::failpoint!("image.layer.syncfs");
        rustix::fs::syncfs(&dir).doing(what)?;
        for meta in pending {
            let mut known = self.lock();
            // It may have been collected and made again since: that one has not been synced.
            let same = |entry: &&mut LayerMeta| entry.generation == meta.generation;
            let Some(entry) = known.get_mut(&meta.diff_id).filter(same) else {
                continue;
            };
            entry.durable = true;
            sys::failpoint!("image.layer.durable");
            write_meta(
                &self.dir.join(meta.diff_id.hex()),
                &temp.path("meta"),
                entry,
            )?;
        }
        Ok(())
    }
}

/// Tells a bad archive, a full disk and a called-off operation apart.
pub(crate) fn unpack_error(what: &str, error: io::Error, cancel: &CancellationToken) -> Error {
    if cancel.is_cancelled() {
        return Error::Cancelled("unpacking");
    }
    match error.kind() {
        io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidFilename => Error::BadArchive {
            what: what.to_owned(),
            why: error.to_string(),
        },
        _ => Error::io(format!("unpack {what}"), error),
    }
}
