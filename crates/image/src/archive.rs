//! The files of an image archive, put aside, and the images that they make.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use types::reference::Reference;

use crate::blob::{Blob, BlobWriter};
use crate::decompress::Limited;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::layer::unpack_error;
use crate::manifest::{
    self, Descriptor, Document, Index, MAX_CONFIG, MAX_MANIFEST, Manifest, OCI_MANIFEST,
};
use crate::platform::Platform;
use crate::store::Store;
use crate::tree;
use archive::{Kind, TarReader};

/// Most files that an archive may have: a layer each, and a few documents.
const MAX_FILES: usize = 100_000;

/// Most images that an archive may have, and bytes of their configurations and manifests.
const MAX_IMAGES: usize = 1000;
const MAX_DOCUMENTS: usize = 64 << 20;

/// Most links from name to name.
const MAX_HOPS: usize = 8;

/// An archive's files, put aside.
#[derive(Default)]
pub(crate) struct Archive {
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
pub(crate) struct Found {
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Vec<u8>>,
    /// The manifest that the archive has for it.
    pub(crate) manifest: Option<(Descriptor, Manifest, Vec<u8>)>,
    pub(crate) names: Vec<Reference>,
}

pub(crate) fn bad(why: impl Into<String>) -> Error {
    Error::BadArchive {
        what: "image archive".to_owned(),
        why: why.into(),
    }
}

/// All of `images`, if there are not too many.
fn bounded(images: impl Iterator<Item = Result<Found>>) -> Result<Vec<Found>> {
    let (mut all, mut documents) = (Vec::new(), 0);
    for image in images {
        let image = image?;
        let manifest = image.manifest.as_ref().map_or(0, |(_, _, m)| m.len());
        documents += image.config.len() + manifest;
        if all.len() == MAX_IMAGES || documents > MAX_DOCUMENTS {
            return Err(bad(format!(
                "it has more than {MAX_IMAGES} images, or {MAX_DOCUMENTS} bytes of their documents"
            )));
        }
        all.push(image);
    }
    Ok(all)
}

impl Archive {
    pub(crate) fn read(
        store: &Store,
        source: impl BufRead,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let fail = |e| unpack_error("image archive", e, cancel);
        let limits = store.0.options.limits;
        let source = Limited::new(source, limits.layer_bytes).map_err(fail)?;
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

    pub(crate) fn find(&self, name: &[u8]) -> Result<&Blob> {
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

    pub(crate) fn images(&self, platform: Option<&Platform>) -> Result<Vec<Found>> {
        if self.has(b"manifest.json") {
            return self.docker_images();
        }
        if self.has(b"index.json") {
            let host = Platform::host();
            return self.oci_images(platform.unwrap_or(&host));
        }
        Err(bad(
            "it has neither manifest.json nor index.json, so it is not an image archive",
        ))
    }

    fn docker_images(&self) -> Result<Vec<Found>> {
        let bytes = self.text(b"manifest.json", MAX_MANIFEST)?;
        let images: Vec<DockerImage> = serde_json::from_slice(&bytes)
            .map_err(|e| bad(format!("its manifest.json cannot be read: {e}")))?;
        let images = images.into_iter();
        bounded(images.map(|image| {
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
        }))
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

    fn oci_images(&self, platform: &Platform) -> Result<Vec<Found>> {
        let bytes = self.text(b"index.json", MAX_MANIFEST)?;
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|e| bad(format!("its index.json cannot be read: {e}")))?;
        let entries = index.manifests.iter();
        bounded(entries.map(|entry| self.oci_image(entry, platform)))
    }

    fn oci_image(&self, entry: &Descriptor, platform: &Platform) -> Result<Found> {
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
                let chosen = inner.choose(platform)?.clone();
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
        Ok(Found {
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
        })
    }
}

fn blob_name(digest: &Digest) -> Vec<u8> {
    format!("blobs/sha256/{}", digest.hex()).into_bytes()
}
