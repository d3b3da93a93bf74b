//! An image of what a container has changed: its writable layer on top of its own image's.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use archive::{Ids, Packer};
use rustix::fs::{Mode, OFlags};
use tokio_util::sync::CancellationToken;
use types::reference::Reference;

use crate::blob::BlobWriter;
use crate::changes;
use crate::config::{History, RunConfig};
use crate::error::{Context, Error, Result};
use crate::image::Image;
use crate::make::Layer;
use crate::store::Store;

/// How a container is committed.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The image's name, if it gets one.
    pub reference: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// A remark about it.
    pub comment: String,
    /// How its containers run.
    pub config: RunConfig,
    /// Dockerfile instructions that change that.
    pub changes: Vec<String>,
    /// What the container ran, for the history.
    pub command: String,
}

/// A blob to be, for who writes.
pub(crate) struct Blobs<'a>(pub(crate) BlobWriter, pub(crate) &'a CancellationToken);

impl io::Write for Blobs<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.0.write(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store {
    /// Makes an image of a container's image and what the container has written since. `ids` turns
    /// owners on the host into the container's. Blocks.
    ///
    /// # Errors
    /// When an instruction cannot be applied, something cannot be read or the disk is full.
    pub fn commit_container(
        &self,
        container: &str,
        commit: &Commit,
        ids: Ids<'_>,
        cancel: &CancellationToken,
    ) -> Result<Arc<Image>> {
        let meta = self.container_meta(container)?;
        let image = self.get(&meta.image.to_string())?;
        let below = {
            let state = self.state();
            let manifest = state.manifests.get(&image.manifest);
            manifest.map(|m| m.layers.clone()).unwrap_or_default()
        };
        if below.len() != image.diff_ids().len() {
            return Err(Error::Conflict(format!(
                "the image of container {container} is being removed: commit it again"
            )));
        }
        let mut config = (*image.config).clone();
        config.config = commit.config.clone();
        changes::apply(&mut config.config, &commit.changes)?;
        let now = jiff::Timestamp::now().to_string();
        let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        config.created = Some(now.clone());
        config.author = some(&commit.author);
        config.comment = some(&commit.comment);
        config.history.push(History {
            created: Some(now),
            created_by: some(&commit.command),
            author: some(&commit.author),
            comment: some(&commit.comment),
            ..History::default()
        });
        let what = || format!("read what container {container} has written");
        let upper_path = self.container_dir(container).join("upper");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let upper: OwnedFd = rustix::fs::open(&upper_path, flags, Mode::empty())
            .map_err(std::io::Error::from)
            .doing(what)?;
        let blob = Blobs(BlobWriter::new(&self.0.temp)?, cancel);
        let mut packer = Packer::new(blob, ids).layer();
        let packed = packer.dir(&upper, b"").and_then(|()| packer.finish());
        if cancel.is_cancelled() {
            return Err(Error::Cancelled("the commit"));
        }
        let writer = packed.doing(what)?;
        // It is moved away before it is removed: what has its name still was whole.
        if !upper_path.exists() {
            return Err(Error::NoSuchContainer(container.to_owned()));
        }
        let blob = writer.0.finish()?;
        let _pins = self.pin([blob.digest.clone()]);
        let (layer, _layer_pins) = self.add_layer(&blob, "committed layer", cancel)?;
        let mut layers: Vec<Layer> = image
            .diff_ids()
            .iter()
            .zip(below)
            .map(|(diff_id, descriptor)| Layer {
                diff_id: diff_id.clone(),
                descriptor,
            })
            .collect();
        layers.push(layer);
        let reference = commit.reference.clone().map(Reference::with_default_tag);
        self.add(reference.as_slice(), config, &layers)
    }

    /// Directories of a container's writable layer and of the layers below, topmost first: what
    /// it changed is told by comparing them.
    ///
    /// # Errors
    /// When the container has no file system here.
    pub fn container_layers(
        &self,
        container: &str,
    ) -> Result<(std::path::PathBuf, Vec<std::path::PathBuf>)> {
        let meta = self.container_meta(container)?;
        self.ensure_layers(&meta)?;
        let upper = self.container_dir(container).join("upper");
        Ok((upper, self.lower_dirs(&meta)))
    }
}
