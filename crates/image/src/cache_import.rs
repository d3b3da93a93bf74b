//! Taking steps of a build from caches of others. Only what a build asks for is fetched; a layer is
//! what its digests say, or is not taken.

use std::io::Read;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use types::reference::Reference;

use crate::blob::BlobWriter;
use crate::build::{Held, StoredLayer};
use crate::cache::CacheRecord;
use crate::cache_list::{self, CacheIndex, Listed};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fetch::LayerJob;
use crate::image::Image;
use crate::manifest::{Document, Kind, parse};
use crate::platform::Platform;
use crate::pull::OnProgress;
use crate::registry::Session;
use crate::remote::{self, Access};
use crate::store::Store;

/// A cache in a registry.
#[derive(Debug)]
pub struct RemoteCache {
    session: Arc<Session>,
    /// What it has.
    pub index: CacheIndex,
}

impl CacheIndex {
    /// Reads the index of an OCI layout and what it leads to; `read` gives a blob of at most so many
    /// bytes. Digests are checked here.
    ///
    /// # Errors
    /// When it is not a cache, or content is not what it should be.
    pub fn of_layout(
        what: &str,
        index: &[u8],
        read: impl Fn(&Digest, u64) -> Result<Vec<u8>>,
    ) -> Result<Self> {
        let Document::Index(index) = parse(what, index, None)? else {
            return Err(Error::bad_manifest(what, "its index.json is no index"));
        };
        let bad = |why: &str| Error::bad_manifest(what, why);
        let entry = index
            .manifests
            .first()
            .filter(|_| index.manifests.len() == 1);
        let entry = entry.ok_or_else(|| bad("its index.json names not one manifest"))?;
        let content = |digest: &Digest, size: u64, limit: u64| {
            if size > limit {
                return Err(bad("a document is too large"));
            }
            let bytes = read(digest, size)?;
            if bytes.len() as u64 != size || Digest::of(&bytes) != *digest {
                return Err(bad("a document is not what its digest says"));
            }
            Ok(bytes)
        };
        let limit = crate::manifest::MAX_MANIFEST;
        let manifest = content(&entry.digest, entry.size, limit)?;
        let manifest = cache_list::manifest(what, &manifest)?;
        let config = &manifest.config;
        let config = content(&config.digest, config.size, crate::manifest::MAX_CONFIG)?;
        Self::read(what, &manifest, &config)
    }
}

impl Store {
    /// Reads which steps a cache in a registry has, or an image that carries one.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn cache_in(
        &self,
        reference: &Reference,
        platform: &Platform,
        access: Access<'_>,
    ) -> Result<RemoteCache> {
        let reference = reference.clone().with_default_tag();
        let registries = &self.0.registries;
        let session = registries.session_as(&reference, access.auth, access.insecure)?;
        let what = format!("cache {}", reference.familiar());
        let which = reference.digest().or(reference.tag()).unwrap_or_default();
        let (kind, mut document) = remote::fetch(&session, &what, which).await?;
        if kind == Kind::Index {
            let media_type = document.media_type.as_str();
            let Document::Index(index) = parse(&what, &document.bytes, Some(media_type))? else {
                return Err(Error::bad_manifest(what, "it is ambiguous"));
            };
            let chosen = index.choose(platform)?.digest.to_string();
            let (kind, part) = remote::fetch(&session, &what, &chosen).await?;
            if kind == Kind::Index {
                return Err(Error::bad_manifest(what, "it is an index within an index"));
            }
            document = part;
        }
        let manifest = cache_list::manifest(&what, &document.bytes)?;
        let config = &manifest.config;
        let config = session.small_blob(&config.digest, config.size).await?;
        Ok(RemoteCache {
            session: Arc::new(session),
            index: CacheIndex::read(&what, &manifest, &config)?,
        })
    }

    /// Takes a step from a cache in a registry; nothing where it does not have it.
    ///
    /// # Errors
    /// When the layer cannot be fetched or is not what was announced. Nothing has changed then.
    pub async fn fetch_cached(
        &self,
        cache: &RemoteCache,
        key: &Digest,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<(CacheRecord, Held)>> {
        let Some((listed, job, held)) = self.wanted(&cache.index, key)? else {
            return Ok(None);
        };
        if let Some(job) = &job {
            let work = Box::pin(self.fetch_layer(&cache.session, job, progress, cancel));
            tokio::select! {
                done = work => done?,
                () = cancel.cancelled() => return Err(Error::Cancelled("the build")),
            }
        }
        self.keep(listed, job, held).map(Some)
    }

    /// Takes a step from a cache whose blobs `open` gives; nothing where it does not have it. Blocks.
    ///
    /// # Errors
    /// When the layer cannot be read or is not what was announced. Nothing has changed then.
    pub fn take_cached<R: Read>(
        &self,
        index: &CacheIndex,
        key: &Digest,
        open: impl FnOnce(&Digest) -> Result<R>,
        cancel: &CancellationToken,
    ) -> Result<Option<(CacheRecord, Held)>> {
        let Some((listed, job, held)) = self.wanted(index, key)? else {
            return Ok(None);
        };
        if let Some(job) = job.as_ref().filter(|job| !self.has_layer(job)) {
            let mut source = open(&job.blob.digest)?.take(job.blob.size.saturating_add(1));
            let mut writer = BlobWriter::new(&self.0.temp)?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                if cancel.is_cancelled() {
                    return Err(Error::Cancelled("the build"));
                }
                match source.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => writer.write(&buffer[..length])?,
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(Error::io("read a layer of the cache".to_owned(), e)),
                }
            }
            let blob = writer.finish()?;
            let what = format!("layer {}", job.blob.digest.short());
            blob.check(&what, &job.blob.digest, job.blob.size)?;
            let reader = std::io::BufReader::with_capacity(64 << 10, blob.reader()?);
            let staged = self.stage(job, reader, cancel)?;
            blob.publish_copy(&self.0.blobs)?;
            self.0.layers.publish(&staged)?;
            self.verified(&job.blob.digest, &job.diff_id);
        }
        self.keep(listed, job, held).map(Some)
    }

    /// Takes a step from the cache that an image here carries; nothing where it does not have it.
    ///
    /// # Errors
    /// When the image is being removed or the disk is full.
    pub fn cached_in_image(
        &self,
        image: &Image,
        key: &Digest,
    ) -> Result<Option<(CacheRecord, Held)>> {
        if image.config.build_cache.is_none() {
            return Ok(None);
        }
        let Some(manifest) = self.state().manifests.get(&image.manifest).cloned() else {
            return Ok(None);
        };
        let config = crate::load::to_json(&*image.config)?;
        let index = CacheIndex::read("image", &manifest, &config)?;
        let Some((listed, job, held)) = self.wanted(&index, key)? else {
            return Ok(None);
        };
        if job.as_ref().is_some_and(|job| !self.has_layer(job)) {
            return Ok(None);
        }
        self.keep(listed, job, held).map(Some)
    }

    /// What is to be had for a step, kept from being collected from now on.
    fn wanted(
        &self,
        index: &CacheIndex,
        key: &Digest,
    ) -> Result<Option<(Listed, Option<LayerJob>, Held)>> {
        let Some((listed, layer)) = index.get(key) else {
            return Ok(None);
        };
        let job = layer.map(|(diff_id, blob)| LayerJob {
            blob: blob.clone(),
            diff_id: diff_id.clone(),
        });
        let limit = self.0.options.limits.layer_bytes;
        if let Some(job) = job.as_ref().filter(|job| job.blob.size > limit) {
            let what = format!("layer {}", job.blob.digest.short());
            let why = format!("it has {} bytes, the limit is {limit}", job.blob.size);
            return Err(Error::bad_manifest(what, why));
        }
        let pins = job.iter();
        let pins = pins.flat_map(|j| [j.diff_id.clone(), j.blob.digest.clone()]);
        let held = self.hold_digests(pins);
        Ok(Some((listed.clone(), job, held)))
    }

    /// Remembers a step whose layer is here now.
    fn keep(
        &self,
        listed: Listed,
        job: Option<LayerJob>,
        held: Held,
    ) -> Result<(CacheRecord, Held)> {
        let layer = job.map(|job| StoredLayer {
            files: self.0.layers.get(&job.diff_id).map_or(0, |meta| meta.size),
            diff_id: job.diff_id,
            descriptor: job.blob,
        });
        let record = listed.record(layer);
        self.remember(record.clone())?;
        Ok((record, held))
    }
}
