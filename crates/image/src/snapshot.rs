//! Containers' file systems: an image's layers below, a writable directory of its own on top.
//!
//! `containers/<id>/{upper,work,meta.json}`. The mount itself is never attached to the host's
//! tree (`sys::overlay`), so nothing is left over when anybody dies.

use std::collections::{HashMap, HashSet};
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::blob::{Temp, TempPath};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::lookup::find;
use crate::store::{State, Store};

const META: &str = "meta.json";

/// What is written beside a container's writable layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContainerMeta {
    pub(crate) version: u32,
    pub(crate) image: Digest,
    pub(crate) layers: Vec<ContainerLayer>,
}

/// A layer below a container, lowest first, and the blob that it is unpacked from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContainerLayer {
    pub(crate) diff_id: Digest,
    pub(crate) blob: Digest,
}

impl ContainerMeta {
    pub(crate) fn chain_ids(&self) -> Vec<Digest> {
        let mut chain: Vec<Digest> = Vec::new();
        for layer in &self.layers {
            let id = match chain.last() {
                None => layer.diff_id.clone(),
                Some(below) => Digest::of(format!("{below} {}", layer.diff_id).as_bytes()),
            };
            chain.push(id);
        }
        chain
    }
}

/// Reads all containers' records. A directory without a readable one was never finished.
pub(crate) fn read_all(dir: &Path, temp: &Temp) -> Result<HashMap<String, ContainerMeta>> {
    let mut all = HashMap::new();
    for entry in std::fs::read_dir(dir).doing(|| format!("list {}", dir.display()))? {
        let entry = entry.doing(|| format!("list {}", dir.display()))?;
        let path = entry.path();
        let meta = std::fs::read(path.join(META))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<ContainerMeta>(&bytes).ok());
        match (meta, entry.file_name().to_str()) {
            (Some(meta), Some(id)) => {
                all.insert(id.to_owned(), meta);
            }
            _ => {
                tracing::warn!(path = %path.display(), "container file system without a record is removed");
                let trash = temp.path("trash");
                std::fs::rename(&path, &trash).doing(|| format!("discard {}", path.display()))?;
                drop(TempPath(trash));
            }
        }
    }
    Ok(all)
}

fn check_id(id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !id.is_empty() && id.len() <= 128 && id.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::Invalid(format!("{id:?} cannot be a container's id")))
}

/// Reserves a container's name.
fn enter(mut state: MutexGuard<'_, State>, container: &str, meta: &ContainerMeta) -> Result<()> {
    check_id(container)?;
    if state.containers.contains_key(container) {
        return Err(Error::ContainerExists(container.to_owned()));
    }
    state.containers.insert(container.to_owned(), meta.clone());
    Ok(())
}

impl Store {
    pub(crate) fn container_dir(&self, id: &str) -> PathBuf {
        self.0.root.join("containers").join(id)
    }

    /// Makes a container's writable layer on top of an image.
    ///
    /// Nothing is synced here: the engine's own record of the container is committed afterwards,
    /// on the same disk, and a file system that keeps the order of its journal keeps both.
    ///
    /// # Errors
    /// When there is no such image, the container has a layer already, or the disk is full.
    pub fn create_container(&self, container: &str, image: &str) -> Result<()> {
        let meta = {
            let state = self.state();
            let meta = Self::image_meta(&state, image)?;
            // At once, so that the layers stay even if the image goes now.
            enter(state, container, &meta)?;
            meta
        };
        self.make_entered(container, &meta)
    }

    /// Makes a writable layer on top of any layers that are here.
    pub(crate) fn add_container(&self, container: &str, meta: ContainerMeta) -> Result<()> {
        enter(self.state(), container, &meta)?;
        self.make_entered(container, &meta)
    }

    fn make_entered(&self, container: &str, meta: &ContainerMeta) -> Result<()> {
        let made = self
            .ensure_layers(meta)
            .and_then(|()| self.make_container(container, meta));
        if made.is_err() {
            self.state().containers.remove(container);
        }
        made
    }

    fn make_container(&self, container: &str, meta: &ContainerMeta) -> Result<()> {
        let path = TempPath(self.0.temp.path("container"));
        let what = || format!("create the file system of container {container}");
        let bytes = serde_json::to_vec(meta).map_err(|e| Error::Invalid(e.to_string()))?;
        let make = || {
            let mut builder = DirBuilder::new();
            builder.mode(0o700).create(&path.0)?;
            builder.create(path.0.join("work"))?;
            let upper = path.0.join("upper");
            builder.create(&upper)?;
            // The overlay's root looks like its topmost directory, which is this one: it must
            // have what the image gave its root.
            let root = meta
                .layers
                .iter()
                .rev()
                .find_map(|l| self.0.layers.get(&l.diff_id)?.root);
            let (uid, gid, mode) = root.map_or((0, 0, 0o755), |r| (r.uid, r.gid, r.mode));
            std::os::unix::fs::chown(&upper, Some(uid), Some(gid))?;
            std::fs::set_permissions(&upper, std::fs::Permissions::from_mode(mode))?;
            sys::failpoint!("image.container.meta");
            std::fs::write(path.0.join(META), &bytes)?;
            sys::failpoint!("image.container.rename");
            std::fs::rename(&path.0, self.container_dir(container))
        };
        make().doing(what)
    }

    /// The container's file system as a mount that is attached nowhere. Whoever holds the
    /// descriptor decides where it is to be seen; when nobody does any more, it is gone.
    ///
    /// # Errors
    /// When the container has no file system here or the kernel refuses the mount.
    pub fn mount_container(&self, container: &str) -> Result<OwnedFd> {
        let meta = self.container_meta(container)?;
        self.ensure_layers(&meta)?;
        let dir = self.container_dir(container);
        let lower = self.lower_dirs(&meta);
        Ok(sys::overlay::mount_detached(sys::overlay::Overlay {
            lower: &lower,
            write: Some(sys::overlay::Writable {
                upper: &dir.join("upper"),
                work: &dir.join("work"),
            }),
        })?)
    }

    /// The files of an image as a mount that is attached nowhere and cannot be written; with
    /// `users`, a user namespace, as that maps owners.
    ///
    /// # Errors
    /// As [`Store::mount_container_mapped`], or when there is no such image.
    pub fn mount_image(
        &self,
        image: &str,
        users: Option<std::os::fd::BorrowedFd<'_>>,
    ) -> Result<OwnedFd> {
        let meta = Self::image_meta(&self.state(), image)?;
        self.ensure_layers(&meta)?;
        let mut lower = self.lower_dirs(&meta);
        let empty = self.0.root.join("empty");
        if lower.contains(&empty) {
            return Err(Error::Invalid(format!(
                "image {image} has no files to mount"
            )));
        }
        // The kernel wants two.
        lower.push(empty);
        let overlay = sys::overlay::Overlay {
            lower: &lower,
            write: None,
        };
        Ok(match users {
            Some(users) => sys::overlay::mount_mapped(overlay, users)?,
            None => sys::overlay::mount_detached(overlay)?,
        })
    }

    /// What a container of an image would stand on.
    fn image_meta(state: &State, image: &str) -> Result<ContainerMeta> {
        let image = find(state, image)?;
        let blobs = state
            .manifests
            .get(&image.manifest)
            .map(|m| m.layers.clone());
        let layers = image
            .diff_ids()
            .iter()
            .zip(blobs.unwrap_or_default())
            .map(|(diff_id, blob)| ContainerLayer {
                diff_id: diff_id.clone(),
                blob: blob.digest,
            })
            .collect();
        Ok(ContainerMeta {
            version: 1,
            image: image.id.clone(),
            layers,
        })
    }

    /// As [`Store::mount_container`], for a container whose users `users`, a user namespace, maps;
    /// `root` are the user and group on the host that are its root.
    ///
    /// # Errors
    /// As [`Store::mount_container`], and where the kernel cannot map the owners of layers.
    pub fn mount_container_mapped(
        &self,
        container: &str,
        users: std::os::fd::BorrowedFd<'_>,
        root: (u32, u32),
    ) -> Result<OwnedFd> {
        let meta = self.container_meta(container)?;
        self.ensure_layers(&meta)?;
        let dir = self.container_dir(container);
        let upper = dir.join("upper");
        // What is written belongs to the host's users, and so must the root of it.
        let (uid, gid) = self.root_owner(&meta);
        let own = || format!("give the root of container {container} to its own root");
        let now = std::fs::metadata(&upper).doing(own)?;
        if (now.uid(), now.gid()) == (uid, gid) {
            let (uid, gid) = (root.0.saturating_add(uid), root.1.saturating_add(gid));
            std::os::unix::fs::chown(&upper, Some(uid), Some(gid)).doing(own)?;
        }
        let lower = self.lower_dirs(&meta);
        let overlay = sys::overlay::Overlay {
            lower: &lower,
            write: Some(sys::overlay::Writable {
                upper: &upper,
                work: &dir.join("work"),
            }),
        };
        Ok(sys::overlay::mount_mapped(overlay, users)?)
    }

    /// Who owns the root directory in the image.
    fn root_owner(&self, meta: &ContainerMeta) -> (u32, u32) {
        let mut layers = meta.layers.iter().rev();
        let root = layers.find_map(|l| self.0.layers.get(&l.diff_id)?.root);
        root.map_or((0, 0), |r| (r.uid, r.gid))
    }

    pub(crate) fn container_meta(&self, container: &str) -> Result<ContainerMeta> {
        let meta = self.state().containers.get(container).cloned();
        meta.ok_or_else(|| Error::NoSuchContainer(container.to_owned()))
    }

    /// The layers' directories, topmost first, as an overlay wants them.
    pub(crate) fn lower_dirs(&self, meta: &ContainerMeta) -> Vec<PathBuf> {
        let mut seen = HashSet::new();
        let mut dirs = Vec::new();
        for layer in meta.layers.iter().rev() {
            // A directory cannot be stacked twice. Dropping all but its topmost place changes
            // nothing: that one has the same files and hides the same ones.
            if seen.insert(&layer.diff_id) {
                dirs.push(self.0.layers.diff(&layer.diff_id));
            }
            if self
                .0
                .layers
                .get(&layer.diff_id)
                .is_some_and(|meta| meta.root_opaque)
            {
                break;
            }
        }
        if dirs.is_empty() {
            dirs.push(self.0.root.join("empty"));
        }
        dirs
    }

    /// Unpacks again what a power cut made doubtful.
    pub(crate) fn ensure_layers(&self, meta: &ContainerMeta) -> Result<()> {
        let cancel = CancellationToken::new();
        let mut any = false;
        for layer in &meta.layers {
            if self.0.layers.has(&layer.diff_id) {
                continue;
            }
            let what = format!("layer {}", layer.blob.short());
            let source =
                std::io::BufReader::with_capacity(64 << 10, self.0.blobs.open(&layer.blob)?);
            let staged = self.0.layers.stage(
                &self.0.temp,
                &what,
                source,
                Some(&layer.diff_id),
                self.0.options.limits,
                &cancel,
            )?;
            self.0.layers.publish(&staged)?;
            any = true;
        }
        if any {
            self.0.layers.sync_later(&self.0.temp);
            // Images' sizes are those of the layers that are here.
            let _only = self.committing();
            self.name_images(&mut self.state());
        }
        Ok(())
    }

    /// Removes a container's writable layer, and the image's content if it was the last user.
    /// A container without one is none the worse.
    ///
    /// # Errors
    /// When the directory cannot be moved away.
    pub fn remove_container(&self, container: &str) -> Result<()> {
        check_id(container)?;
        let trash = self.0.temp.path("trash");
        sys::failpoint!("image.container.remove");
        match std::fs::rename(self.container_dir(container), &trash) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(
                    format!("remove the file system of container {container}"),
                    e,
                ));
            }
            _ => {}
        }
        self.remove_later(vec![TempPath(trash)]);
        let image = self
            .state()
            .containers
            .remove(container)
            .map(|meta| meta.image);
        let orphaned = image.is_some_and(|image| !self.state().images.contains_key(&image));
        if orphaned {
            self.gc_later();
        }
        Ok(())
    }

    /// Bytes that a container has written.
    ///
    /// # Errors
    /// When the container has no file system here or it cannot be read.
    pub fn container_size(&self, container: &str) -> Result<u64> {
        self.container_meta(container)?;
        let what = || format!("measure the file system of container {container}");
        let mut size = 0;
        let mut linked = HashSet::new();
        let mut dirs = vec![self.container_dir(container).join("upper")];
        while let Some(dir) = dirs.pop() {
            let entries = match std::fs::read_dir(&dir) {
                Ok(entries) => entries,
                // The container runs meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Error::io(what(), e)),
            };
            for entry in entries {
                let entry = match entry {
                    Ok(entry) => entry,
                    // The directory was removed while it was read.
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
                    Err(e) => return Err(Error::io(what(), e)),
                };
                let Ok(meta) = entry.metadata() else { continue };
                if meta.is_dir() {
                    dirs.push(entry.path());
                } else if meta.is_file()
                    && (meta.nlink() == 1 || linked.insert((meta.dev(), meta.ino())))
                {
                    size += meta.len();
                }
            }
        }
        Ok(size)
    }

    /// The image that a container's file system was made from.
    ///
    /// # Errors
    /// When the container has no file system here.
    pub fn container_image(&self, container: &str) -> Result<Digest> {
        self.container_meta(container).map(|meta| meta.image)
    }

    /// Containers that have a file system here, for the engine to find those it does not know.
    pub fn containers(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.state().containers.keys().cloned().collect();
        ids.sort();
        ids
    }
}
