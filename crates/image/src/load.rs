//! Taking in archives that `save` or other tools wrote: docker-archive (`manifest.json`) and OCI
//! layout (`index.json`).
//!
//! An archive's order is not known before its end, so each file in it is first put aside under a
//! temporary name of ours while its digest is computed; names in the archive are only keys.

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::sync::Arc;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use types::reference::Reference;

use crate::blob::{Blob, BlobWriter};
use crate::config::ImageConfig;
use crate::decompress::Unpacked;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::image::Image;
use crate::layer::unpack_error;
use crate::manifest::{
    self, Descriptor, Document, Index, MAX_CONFIG, MAX_LAYERS, MAX_MANIFEST, Manifest, OCI_CONFIG,
    OCI_LAYER, OCI_MANIFEST,
};
use crate::platform::Platform;
use crate::progress::{LayerStep, Progress};
use crate::pull::{OnProgress, check_config};
use crate::store::{Store, parse_config};
use crate::tarread::{Kind, TarReader};
use crate::tree;

/// Most files that an archive may have: a layer each, and a few documents.
const MAX_FILES: usize = 100_000;
/// Most links from name to name.
const MAX_HOPS: usize = 8;

/// An image that was taken in.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The image.
    pub image: Arc<Image>,
    /// The names that it came with.
    pub names: Vec<Reference>,
}

/// An archive's files, put aside.
#[derive(Default)]
struct Archive {
    files: HashMap<Vec<u8>, Blob>,
    links: HashMap<Vec<u8>, Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// An image in an archive, whatever the archive's form.
struct Found {
    config: Vec<u8>,
    layers: Vec<Vec<u8>>,
    /// The manifest that the archive has for it.
    manifest: Option<(Descriptor, Manifest, Vec<u8>)>,
    names: Vec<Reference>,
}

fn bad(why: impl Into<String>) -> Error {
    Error::BadArchive {
        what: "image archive".to_owned(),
        why: why.into(),
    }
}

impl Archive {
    fn read(store: &Store, source: impl BufRead, cancel: &CancellationToken) -> Result<Self> {
        let fail = |e| unpack_error("image archive", e, cancel);
        let limits = store.0.options.limits;
        let source = Unpacked::new(source, limits.layer_bytes).map_err(fail)?;
        let mut tar = TarReader::new(source);
        let mut archive = Self::default();
        while let Some(header) = tar.next().map_err(fail)? {
            if archive.files.len() + archive.links.len() >= MAX_FILES {
                return Err(bad(format!("it has more than {MAX_FILES} files")));
            }
            let name = tree::clean(&header.path).ok_or_else(|| {
                bad(format!(
                    "{:?} leads out of it",
                    String::from_utf8_lossy(&header.path)
                ))
            })?;
            match header.kind {
                Kind::File if header.sparse.is_none() => {
                    let mut writer = BlobWriter::new(&store.0.temp)?;
                    loop {
                        if cancel.is_cancelled() {
                            return Err(Error::Cancelled("the load"));
                        }
                        let data = tar.data().map_err(fail)?;
                        if data.is_empty() {
                            break;
                        }
                        writer.write(data)?;
                        let length = data.len();
                        tar.consume(length);
                    }
                    archive.files.insert(name, writer.finish()?);
                }
                Kind::File => return Err(bad("it has a sparse file, which is not supported here")),
                // Older `docker save` stores a layer once and links to it.
                Kind::Symlink => {
                    let (dir, _) = tree::split(&name);
                    let target = [dir, b"/", &header.link].concat();
                    let target =
                        tree::clean(&target).ok_or_else(|| bad("a link leads out of it"))?;
                    archive.links.insert(name, target);
                }
                Kind::HardLink => {
                    let target =
                        tree::clean(&header.link).ok_or_else(|| bad("a link leads out of it"))?;
                    archive.links.insert(name, target);
                }
                Kind::Dir => {}
                _ => return Err(bad("it has a device or a pipe")),
            }
        }
        Ok(archive)
    }

    fn find(&self, name: &[u8]) -> Result<&Blob> {
        let mut at = tree::clean(name).unwrap_or_default();
        for _ in 0..MAX_HOPS {
            if let Some(file) = self.files.get(&at) {
                return Ok(file);
            }
            match self.links.get(&at) {
                Some(target) => at.clone_from(target),
                None => break,
            }
        }
        Err(bad(format!(
            "it names {:?} but does not have it",
            String::from_utf8_lossy(name)
        )))
    }

    fn text(&self, name: &[u8], limit: u64) -> Result<Vec<u8>> {
        let file = self.find(name)?;
        if file.size > limit {
            return Err(bad(format!(
                "{:?} has {} bytes, the limit is {limit}",
                String::from_utf8_lossy(name),
                file.size
            )));
        }
        let mut bytes = Vec::new();
        file.reader()?
            .read_to_end(&mut bytes)
            .doing(|| "read the image archive".to_owned())?;
        Ok(bytes)
    }

    fn has(&self, name: &[u8]) -> bool {
        self.find(name).is_ok()
    }

    fn images(&self) -> Result<Vec<Found>> {
        if self.has(b"manifest.json") {
            return self.docker_images();
        }
        if self.has(b"index.json") {
            return self.oci_images();
        }
        Err(bad(
            "it has neither manifest.json nor index.json, so it is not an image archive",
        ))
    }

    fn docker_images(&self) -> Result<Vec<Found>> {
        let bytes = self.text(b"manifest.json", MAX_MANIFEST)?;
        let images: Vec<DockerImage> = serde_json::from_slice(&bytes)
            .map_err(|e| bad(format!("its manifest.json cannot be read: {e}")))?;
        images
            .into_iter()
            .map(|image| {
                let names = image.repo_tags.unwrap_or_default();
                let names = names
                    .iter()
                    .map(|name| match Reference::parse(name) {
                        Ok(name) if name.digest().is_none() => Ok(name.with_default_tag()),
                        _ => Err(bad(format!("invalid tag {name:?}"))),
                    })
                    .collect::<Result<_>>()?;
                Ok(Found {
                    config: self.text(image.config.as_bytes(), MAX_CONFIG)?,
                    layers: image
                        .layers
                        .unwrap_or_default()
                        .into_iter()
                        .map(Into::into)
                        .collect(),
                    manifest: None,
                    names,
                })
            })
            .collect()
    }

    /// A document of an OCI layout, its digest checked.
    fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        let name = blob_name(&descriptor.digest);
        let bytes = self.text(&name, limit)?;
        let what = String::from_utf8_lossy(&name).into_owned();
        self.find(&name)?
            .check(&what, &descriptor.digest, descriptor.size)?;
        Ok(bytes)
    }

    fn oci_images(&self) -> Result<Vec<Found>> {
        let bytes = self.text(b"index.json", MAX_MANIFEST)?;
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|e| bad(format!("its index.json cannot be read: {e}")))?;
        let mut found = Vec::new();
        for entry in &index.manifests {
            let names: Vec<_> = [
                "io.containerd.image.name",
                "org.opencontainers.image.ref.name",
            ]
            .iter()
            .filter_map(|key| entry.annotations.get(*key))
            // A bare tag names no repository.
            .filter(|name| name.contains([':', '/']))
            .take(1)
            .map(|name| match Reference::parse(name) {
                Ok(name) => Ok(name.with_default_tag()),
                Err(e) => Err(bad(format!("invalid name {name:?}: {e}"))),
            })
            .collect::<Result<_>>()?;
            let what = format!("manifest {}", entry.digest);
            let given = Some(entry.media_type.as_str()).filter(|t| !t.is_empty());
            let bytes = self.document(entry, MAX_MANIFEST)?;
            let (descriptor, bytes) = match manifest::parse(&what, &bytes, given)? {
                Document::Manifest(_) => (entry.clone(), bytes),
                Document::Index(inner) => {
                    let chosen = inner.choose(&Platform::host())?.clone();
                    let bytes = self.document(&chosen, MAX_MANIFEST)?;
                    (chosen, bytes)
                }
            };
            let Document::Manifest(manifest) = manifest::parse(&what, &bytes, None)? else {
                return Err(bad(
                    "it has an index within an index, which is not supported",
                ));
            };
            let media_type = match descriptor.media_type.as_str() {
                "" => OCI_MANIFEST,
                own => own,
            };
            found.push(Found {
                config: self.document(&manifest.config, MAX_CONFIG)?,
                layers: manifest
                    .layers
                    .iter()
                    .map(|layer| blob_name(&layer.digest))
                    .collect(),
                manifest: Some((
                    Descriptor::new(media_type, descriptor.digest, descriptor.size),
                    manifest,
                    bytes,
                )),
                names,
            });
        }
        Ok(found)
    }
}

fn blob_name(digest: &Digest) -> Vec<u8> {
    format!("blobs/sha256/{}", digest.hex()).into_bytes()
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
        let source = std::io::BufReader::with_capacity(64 << 10, source);
        let mut archive = Archive::read(self, source, cancel)?;
        let images = archive.images()?;
        if images.is_empty() {
            return Err(bad("it has no images"));
        }
        let mut loaded = Vec::new();
        for found in images {
            let done = self.load_image_of(&mut archive, found, progress, cancel)?;
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
            let suffix = if self.0.layers.has(diff_id) && self.0.blobs.has(&digest) {
                sniff(file)?
            } else {
                progress(step(LayerStep::Loading {
                    current: 0,
                    total: size,
                }));
                let source = std::io::BufReader::with_capacity(64 << 10, file.reader()?);
                let what = format!("layer {}", diff_id.short());
                let (temp, limits) = (&self.0.temp, self.0.options.limits);
                let staged =
                    self.0
                        .layers
                        .stage(temp, &what, source, Some(diff_id), limits, cancel)?;
                file.publish_copy(&self.0.blobs)?;
                self.0.layers.publish(&staged)?;
                progress(step(LayerStep::Loading {
                    current: size,
                    total: size,
                }));
                staged.compression.suffix()
            };
            layers.push(Descriptor::new(
                &format!("{OCI_LAYER}{suffix}"),
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
        check_config(&shown, &manifest, &config, None)?;
        let _manifest_pin = self.pin([descriptor.digest.clone()]);
        self.0.blobs.put(&self.0.temp, &found.config)?;
        self.0.blobs.put(&self.0.temp, &bytes)?;
        let image = self.commit_image(descriptor, &manifest, config, &found.names)?;
        Ok(Loaded {
            image,
            names: found.names,
        })
    }
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::Invalid(e.to_string()))
}

/// The media type's suffix of a layer that need not be unpacked.
fn sniff(file: &Blob) -> Result<&'static str> {
    let source = std::io::BufReader::new(file.reader()?);
    let unpacked = Unpacked::new(source, u64::MAX).doing(|| "read a layer".to_owned())?;
    Ok(unpacked.compression.suffix())
}
