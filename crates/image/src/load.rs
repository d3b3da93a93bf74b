//! Taking in archives that `save` or other tools wrote: docker-archive (`manifest.json`) and OCI
//! layout (`index.json`).
//!
//! An archive's order is not known before its end, so each file in it is first put aside under a
//! temporary name of ours while its digest is computed; names in the archive are only keys.

use std::io::{BufRead, Read};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use types::reference::Reference;

use crate::archive::{Archive, Found, bad};
use crate::blob::{Blob, BlobWriter};
use crate::config::ImageConfig;
use crate::decompress::{Limited, Unpacked};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::image::Image;
use crate::layer::unpack_error;
use crate::manifest::{Descriptor, MAX_LAYERS, Manifest, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use crate::platform::Platform;
use crate::progress::{LayerStep, Progress};
use crate::pull::{OnProgress, check_config};
use crate::store::{Store, parse_config};

/// An image that was taken in.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The image.
    pub image: Arc<Image>,
    /// The names that it came with.
    pub names: Vec<Reference>,
}

impl Store {
    /// Takes in the images of an archive, packed or not. Blocks.
    ///
    /// # Errors
    /// When it is no image archive, is damaged, or the disk is full; nothing of the image that
    /// failed is visible then.
    pub fn load(
        &self,
        source: impl Read,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Loaded>> {
        self.load_for(source, None, progress, cancel)
    }

    /// The same for a platform: of several it is chosen, and images for another are refused.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_for(
        &self,
        source: impl Read,
        platform: Option<&Platform>,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Loaded>> {
        let source = std::io::BufReader::with_capacity(64 << 10, source);
        let mut archive = Archive::read(self, source, cancel)?;
        let images = archive.images(platform)?;
        if images.is_empty() {
            return Err(bad("it has no images"));
        }
        let mut loaded = Vec::new();
        for found in images {
            let done = self.load_image_of(&mut archive, found, platform, progress, cancel)?;
            if done.names.is_empty() {
                progress(Progress::Line(format!(
                    "Loaded image ID: {}",
                    done.image.id
                )));
            }
            for name in &done.names {
                progress(Progress::Line(format!("Loaded image: {}", name.familiar())));
            }
            loaded.push(done);
        }
        Ok(loaded)
    }

    fn load_image_of(
        &self,
        archive: &mut Archive,
        found: Found,
        platform: Option<&Platform>,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Loaded> {
        let config_digest = Digest::of(&found.config);
        let config: ImageConfig = parse_config(&config_digest, &found.config)?;
        let diff_ids = config.rootfs.diff_ids.clone();
        if diff_ids.len() != found.layers.len() || diff_ids.len() > MAX_LAYERS {
            return Err(bad(format!(
                "its image {} has {} layers, but {} in its configuration (at most {MAX_LAYERS})",
                config_digest.short(),
                found.layers.len(),
                diff_ids.len()
            )));
        }
        let mut pins = vec![self.pin(diff_ids.iter().cloned().chain([config_digest.clone()]))];
        let mut layers = Vec::new();
        for (at, (name, diff_id)) in found.layers.iter().zip(&diff_ids).enumerate() {
            let file = archive.find(name)?;
            let what = format!("layer {}", diff_id.short());
            // What a manifest names is taken as it is.
            let plain = match found.manifest {
                Some(_) => None,
                None => self.portable(file, &what, cancel)?,
            };
            let file = plain.as_ref().unwrap_or(file);
            pins.push(self.pin([file.digest.clone()]));
            if let Some((_, manifest, _)) = &found.manifest {
                let layer = &manifest.layers[at];
                file.check(
                    &format!("layer {}", layer.digest),
                    &layer.digest,
                    layer.size,
                )?;
            }
            let (digest, size) = (file.digest.clone(), file.size);
            let step = |step| Progress::Layer {
                id: diff_id.short().to_owned(),
                step,
            };
            let known = self.unpacks_to(&digest, diff_id);
            let suffix = if known && self.0.layers.has(diff_id) && self.0.blobs.has(&digest) {
                let source = std::io::BufReader::new(file.reader()?);
                let packed = Limited::new(source, u64::MAX).doing(|| format!("read {what}"))?;
                packed.compression.suffix()
            } else {
                progress(step(LayerStep::Loading {
                    current: 0,
                    total: size,
                }));
                let (temp, limits) = (&self.0.temp, self.0.options.limits);
                let source = std::io::BufReader::with_capacity(64 << 10, file.reader()?);
                let source = Unpacked::new(source, limits.layer_bytes)
                    .map_err(|e| unpack_error(&what, e, cancel))?
                    .known(&file.digest);
                let staged = self.0.layers.stage_unpacked(
                    temp,
                    &what,
                    source,
                    Some(diff_id),
                    limits,
                    cancel,
                )?;
                file.publish_copy(&self.0.blobs)?;
                self.0.layers.publish(&staged)?;
                self.verified(&digest, diff_id);
                progress(step(LayerStep::Loading {
                    current: size,
                    total: size,
                }));
                staged.compression.suffix()
            };
            layers.push(Descriptor::new(
                &format!("{OCI_LAYER}{}", suffix.unwrap_or_default()),
                digest,
                size,
            ));
        }
        let (descriptor, manifest, bytes) = match found.manifest {
            Some(own) => own,
            None => {
                let size = found.config.len() as u64;
                let config = Descriptor::new(OCI_CONFIG, config_digest, size);
                let manifest = Manifest::new(config, layers);
                let bytes = to_json(&manifest)?;
                let size = bytes.len() as u64;
                (
                    Descriptor::new(OCI_MANIFEST, Digest::of(&bytes), size),
                    manifest,
                    bytes,
                )
            }
        };
        let shown = found.names.first().cloned();
        let shown = shown.map_or_else(|| Reference::parse("archive"), Ok)?;
        check_config(&shown, &manifest, &config, platform)?;
        let _manifest_pin = self.pin([descriptor.digest.clone()]);
        self.0.blobs.put(&self.0.temp, &found.config)?;
        self.0.blobs.put(&self.0.temp, &bytes)?;
        let image = self.commit_image(descriptor, &manifest, config, &found.names)?;
        Ok(Loaded {
            image,
            names: found.names,
        })
    }

    /// What a layer is packed of, where layers are not packed like that: no other engine would
    /// unpack it.
    pub(crate) fn portable(
        &self,
        layer: &Blob,
        what: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<Blob>> {
        let fail = |e| unpack_error(what, e, cancel);
        let source = std::io::BufReader::with_capacity(64 << 10, layer.reader()?);
        let limit = self.0.options.limits.layer_bytes;
        let mut source = Limited::new(source, limit).map_err(fail)?;
        if source.compression.suffix().is_some() {
            return Ok(None);
        }
        let mut writer = BlobWriter::new(&self.0.temp)?;
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled("unpacking"));
            }
            let data = source.fill_buf().map_err(fail)?;
            let length = data.len();
            if length == 0 {
                return writer.finish().map(Some);
            }
            writer.write(data)?;
            source.consume(length);
        }
    }
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::Invalid(e.to_string()))
}
