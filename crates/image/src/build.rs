//! What a builder needs of the store: writable layers on top of layers that no image has yet,
//! layers made of what was written there, and images made of layers.
//!
//! What a step wrote is hashed as a layer's archive and then moved, not copied: the upper
//! directory becomes the unpacked layer. Nothing is synced step by step; before an image gets its
//! name, one `syncfs` covers all of it, and what a power cut left without one is dropped at the
//! next opening, the cache's records of it too.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::Packer;
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use types::reference::Reference;

use crate::blob::{BlobWriter, TempPath};
use crate::commit::Blobs;
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::image::Image;
use crate::make::Layer;
use crate::manifest::{Descriptor, OCI_LAYER};
use crate::snapshot::{ContainerLayer, ContainerMeta};
use crate::store::{Pins, Store};

/// A layer in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLayer {
    pub(crate) diff_id: Digest,
    pub(crate) descriptor: Descriptor,
    /// Bytes of its files.
    #[serde(default)]
    pub(crate) files: u64,
}

impl StoredLayer {
    /// The digest of its unpacked archive: the same files have the same one.
    #[must_use]
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    /// Bytes of its files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files
    }
}

/// Content that stays as long as this lives.
#[derive(Debug)]
pub struct Held(#[allow(dead_code, reason = "held, not read")] Pins);

/// A writable directory on top of layers, gone when dropped.
#[derive(Debug)]
pub struct Step {
    store: Store,
    id: String,
}

impl Step {
    /// The name by which the store knows it, as a container's.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where what is written goes.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.store.container_dir(&self.id).join("upper")
    }

    /// Its file system, attached nowhere.
    ///
    /// # Errors
    /// When the kernel refuses the mount.
    pub fn mount(&self) -> Result<OwnedFd> {
        self.store.mount_container(&self.id)
    }

    /// Makes a layer of what was written; nothing where nothing was. Times after `epoch`, seconds
    /// since 1970, become it. Blocks.
    ///
    /// # Errors
    /// When something cannot be read or the disk is full.
    pub fn commit(
        self,
        epoch: Option<i64>,
        cancel: &CancellationToken,
    ) -> Result<Option<(StoredLayer, Held)>> {
        let upper = self.upper();
        let what = || "read what a build step has written".to_owned();
        if std::fs::read_dir(&upper).doing(what)?.next().is_none() {
            return Ok(None);
        }
        if let Some(epoch) = epoch {
            let clamped = clamp_times(&upper, epoch, cancel);
            if cancel.is_cancelled() {
                return Err(Error::Cancelled("the build"));
            }
            clamped.doing(what)?;
        }
        self.store.take_layer(&upper, cancel).map(Some)
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let trash = self.store.0.temp.path("trash");
        if std::fs::rename(self.store.container_dir(&self.id), &trash).is_ok() {
            self.store.remove_later(vec![TempPath(trash)]);
        }
        self.store.state().containers.remove(&self.id);
    }
}

impl Store {
    /// A writable directory on top of `layers`, lowest first, under the name `id`, which must be as
    /// a container's and unused.
    ///
    /// # Errors
    /// When the name is taken or the disk is full.
    pub fn step(&self, id: &str, layers: &[StoredLayer]) -> Result<Step> {
        let meta = ContainerMeta {
            version: 1,
            // Of no image: nothing is looked for when it goes.
            image: Digest::of(b""),
            layers: layers
                .iter()
                .map(|layer| ContainerLayer {
                    diff_id: layer.diff_id.clone(),
                    blob: layer.descriptor.digest.clone(),
                })
                .collect(),
        };
        self.add_container(id, meta)?;
        Ok(Step {
            store: self.clone(),
            id: id.to_owned(),
        })
    }

    /// The layers of an image, lowest first, and what keeps them.
    ///
    /// # Errors
    /// When the image is being removed.
    pub fn layers_of(&self, image: &Image) -> Result<(Vec<StoredLayer>, Held)> {
        let manifest = self.state().manifests.get(&image.manifest).cloned();
        // First of all: what is looked at below must not go meanwhile.
        let wanted = manifest
            .iter()
            .flat_map(|m| m.layers.iter().map(|l| l.digest.clone()));
        let held = Held(self.pin(wanted.chain(image.diff_ids().iter().cloned())));
        let blobs = manifest.map(|m| m.layers.clone()).unwrap_or_default();
        let whole = blobs.iter().all(|blob| self.0.blobs.has(&blob.digest));
        if blobs.len() != image.diff_ids().len() || !whole {
            return Err(Error::Conflict(format!(
                "image {} is being removed: build again",
                image.id
            )));
        }
        let layers: Vec<_> = image
            .diff_ids()
            .iter()
            .zip(blobs)
            .map(|(diff_id, descriptor)| StoredLayer {
                diff_id: diff_id.clone(),
                files: self.0.layers.get(diff_id).map_or(0, |meta| meta.size),
                descriptor,
            })
            .collect();
        Ok((layers, held))
    }

    /// Keeps layers from being collected.
    #[must_use]
    pub fn hold(&self, layers: &[StoredLayer]) -> Held {
        let digests = layers
            .iter()
            .flat_map(|layer| [layer.diff_id.clone(), layer.descriptor.digest.clone()]);
        Held(self.pin(digests))
    }

    /// [`Store::hold`] by digests of layers and blobs.
    pub(crate) fn hold_digests(&self, digests: impl IntoIterator<Item = Digest>) -> Held {
        Held(self.pin(digests))
    }

    /// Moves a directory of an overlay's upper form into the store as a layer.
    fn take_layer(&self, upper: &Path, cancel: &CancellationToken) -> Result<(StoredLayer, Held)> {
        let what = || "make a layer of what a build step has written".to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir: OwnedFd = rustix::fs::open(upper, flags, Mode::empty())
            .map_err(std::io::Error::from)
            .doing(what)?;
        let blob = Blobs(BlobWriter::new(&self.0.temp)?, cancel);
        let same = |uid, gid| (uid, gid);
        let mut packer = Packer::new(blob, &same).layer();
        let packed = packer.dir(&dir, b"");
        let size = packer.content_bytes();
        let packed = packed.and_then(|()| packer.finish());
        if cancel.is_cancelled() {
            return Err(Error::Cancelled("the build"));
        }
        let blob = packed.doing(what)?.0.finish()?;
        let held = Held(self.pin([blob.digest.clone()]));
        let layer = StoredLayer {
            diff_id: blob.digest.clone(),
            descriptor: Descriptor::new(OCI_LAYER, blob.digest.clone(), blob.size),
            files: size,
        };
        // The blob first: a sync that covers the layer then covers it, too. Where the layer is
        // covered already, no further sync will come.
        if !self.0.blobs.has(&blob.digest) {
            blob.publish_unsynced(&self.0.blobs)?;
            if self.0.layers.has(&layer.diff_id) {
                let file = self.0.blobs.open(&layer.descriptor.digest)?;
                file.sync_data().doing(what)?;
            }
        }
        let staged = self
            .0
            .layers
            .adopt(&self.0.temp, upper, &layer.diff_id, size)?;
        self.0.layers.publish(&staged)?;
        Ok((layer, held))
    }

    /// Forgets an image that has no name.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub fn drop_nameless(&self, image: &Image) -> Result<()> {
        self.change_entries(|state| {
            let mut entries = state.entries.clone();
            entries.retain(|e| e.name.is_some() || e.manifest.digest != image.manifest);
            Ok(entries)
        })?;
        self.gc_later();
        Ok(())
    }

    /// Makes an image of layers that are here and gives it names. `config` has everything but the
    /// layers' digests. When this returns, the image survives a power cut. Blocks.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn image_of(
        &self,
        config: ImageConfig,
        layers: &[StoredLayer],
        names: &[Reference],
    ) -> Result<Arc<Image>> {
        self.0
            .layers
            .sync_if_needed(&self.0.temp, layers.iter().map(StoredLayer::diff_id))?;
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| Layer {
                diff_id: layer.diff_id.clone(),
                descriptor: layer.descriptor.clone(),
            })
            .collect();
        self.add(names, config, &layers)
    }
}

/// Makes all times below `dir` that are after `epoch` that one. Links are not followed.
fn clamp_times(dir: &Path, epoch: i64, cancel: &CancellationToken) -> std::io::Result<()> {
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        if cancel.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            let stat = rustix::fs::lstat(&path)?;
            let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
            if kind == rustix::fs::FileType::Directory {
                waiting.push(path.clone());
            }
            if stat.st_mtime < epoch {
                continue;
            }
            let time = Timespec {
                tv_sec: epoch,
                tv_nsec: 0,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::utimensat(rustix::fs::CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}
