//! Making images here: from a root file system's archive, or from parts held in memory.

use std::io::Read;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use types::reference::Reference;

use crate::blob::{Blob, BlobWriter};
use crate::changes;
use crate::config::{History, ImageConfig};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::image::Image;
use crate::load::to_json;
use crate::manifest::{Descriptor, MAX_CONFIG, Manifest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use crate::platform::Platform;
use crate::store::Store;

/// A layer that was taken in, and what came of it.
pub(crate) struct Layer {
    pub(crate) diff_id: Digest,
    pub(crate) descriptor: Descriptor,
}

/// How an image is imported.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Its name, if it gets one.
    pub reference: Option<Reference>,
    /// A remark about it.
    pub message: String,
    /// Dockerfile instructions that change its configuration.
    pub changes: Vec<String>,
    /// What it is for; this host, when nothing is said.
    pub platform: Option<Platform>,
}

impl Store {
    /// Makes an image of one layer from the archive of a root file system, packed or not. Blocks.
    ///
    /// # Errors
    /// When an instruction cannot be applied, the archive is damaged or the disk is full.
    pub fn import(
        &self,
        mut source: impl Read,
        import: &Import,
        cancel: &CancellationToken,
    ) -> Result<Arc<Image>> {
        if import
            .reference
            .as_ref()
            .is_some_and(|reference| reference.digest().is_some())
        {
            return Err(Error::Invalid("cannot import digest reference".to_owned()));
        }
        let now = jiff::Timestamp::now().to_string();
        let platform = import.platform.clone().unwrap_or_else(Platform::host);
        let mut config = ImageConfig {
            architecture: platform.architecture,
            variant: platform.variant,
            os: platform.os,
            created: Some(now.clone()),
            comment: Some(import.message.clone()).filter(|text| !text.is_empty()),
            ..ImageConfig::default()
        };
        changes::apply(&mut config.config, &import.changes)?;
        config.history.push(History {
            created: Some(now),
            comment: config.comment.clone(),
            ..History::default()
        });
        let mut writer = BlobWriter::new(&self.0.temp)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled("the import"));
            }
            let length = source
                .read(&mut buffer)
                .doing(|| "receive the archive to import".to_owned())?;
            if length == 0 {
                break;
            }
            writer.write(&buffer[..length])?;
        }
        let blob = writer.finish()?;
        let what = "imported layer";
        let blob = self.portable(&blob, what, cancel)?.unwrap_or(blob);
        let _pins = self.pin([blob.digest.clone()]);
        let (layer, _layer_pins) = self.add_layer(&blob, what, cancel)?;
        let reference = import.reference.clone().map(Reference::with_default_tag);
        self.add(reference.as_slice(), config, &[layer])
    }

    /// Adds an image whose layers are tar archives in memory, packed or not. Its `rootfs` is
    /// filled in here. The same parts give the same image, so doing it again changes nothing.
    ///
    /// # Errors
    /// When a layer cannot be unpacked or the disk is full.
    pub fn add_image(
        &self,
        reference: &Reference,
        config: ImageConfig,
        layers: &[&[u8]],
    ) -> Result<Arc<Image>> {
        let cancel = CancellationToken::new();
        let mut pins = Vec::new();
        let mut added = Vec::new();
        for bytes in layers {
            let mut writer = BlobWriter::new(&self.0.temp)?;
            writer.write(bytes)?;
            let blob = writer.finish()?;
            pins.push(self.pin([blob.digest.clone()]));
            let (layer, pin) = self.add_layer(&blob, "built-in layer", &cancel)?;
            pins.push(pin);
            added.push(layer);
        }
        self.add(&[reference.clone().with_default_tag()], config, &added)
    }

    pub(crate) fn add_layer(
        &self,
        blob: &Blob,
        what: &str,
        cancel: &CancellationToken,
    ) -> Result<(Layer, crate::store::Pins)> {
        let source = std::io::BufReader::with_capacity(64 << 10, blob.reader()?);
        let (temp, limits) = (&self.0.temp, self.0.options.limits);
        let staged = self
            .0
            .layers
            .stage(temp, what, source, None, limits, cancel)?;
        let pin = self.pin([staged.meta.diff_id.clone()]);
        blob.publish_copy(&self.0.blobs)?;
        self.0.layers.publish(&staged)?;
        let media_type = format!(
            "{OCI_LAYER}{}",
            staged.compression.suffix().unwrap_or_default()
        );
        let descriptor = Descriptor::new(&media_type, blob.digest.clone(), blob.size);
        Ok((
            Layer {
                diff_id: staged.meta.diff_id.clone(),
                descriptor,
            },
            pin,
        ))
    }

    pub(crate) fn add(
        &self,
        names: &[Reference],
        mut config: ImageConfig,
        layers: &[Layer],
    ) -> Result<Arc<Image>> {
        config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let config_bytes = to_json(&config)?;
        if config_bytes.len() as u64 > MAX_CONFIG {
            return Err(Error::Invalid(format!(
                "the image's configuration would have more than {MAX_CONFIG} bytes, which is the limit"
            )));
        }
        let id = Digest::of(&config_bytes);
        let descriptor = Descriptor::new(OCI_CONFIG, id.clone(), config_bytes.len() as u64);
        let layers = layers
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect();
        let manifest = Manifest::new(descriptor, layers);
        let bytes = to_json(&manifest)?;
        let digest = Digest::of(&bytes);
        let _pins = self.pin([id, digest.clone()]);
        // What is in the table was synced before it came there, and so was what it names.
        let known = self.state().manifests.contains_key(&digest);
        self.0.blobs.put(&self.0.temp, &config_bytes)?;
        self.0.blobs.put(&self.0.temp, &bytes)?;
        let descriptor = Descriptor::new(OCI_MANIFEST, digest, bytes.len() as u64);
        if known {
            return self.commit_synced(descriptor, &manifest, config, names);
        }
        self.commit_image(descriptor, &manifest, config, names)
    }
}
