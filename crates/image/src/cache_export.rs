//! Giving steps of a build away: to a registry, or as the archive of an OCI layout.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read as _, Write};

use archive::{Header, Kind, TarWriter};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;
use types::reference::Reference;

use crate::blob::BlobWriter;
use crate::build::StoredLayer;
use crate::cache::CacheRecord;
use crate::cache_list::{self, CACHE_CONFIG};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::load::to_json;
use crate::manifest::{
    Descriptor, Index, MAX_MANIFEST, Manifest, OCI_INDEX, OCI_LAYER, OCI_MANIFEST,
};
use crate::pull::{OnProgress, blocking};
use crate::push::{Job, Push, worded};
use crate::remote::Access;
use crate::store::Store;

const PIECE: usize = 1 << 20;

/// The manifest of a cache, as bytes, and its configuration.
struct Documents {
    manifest: Vec<u8>,
    config: Vec<u8>,
}

/// What `layers`, of which each has become what `sent` says, and the records are together.
fn documents(
    records: &[CacheRecord],
    layers: &[StoredLayer],
    sent: &HashMap<Digest, Descriptor>,
) -> Result<Documents> {
    let ids: Vec<_> = layers.iter().map(|l| l.diff_id.clone()).collect();
    let config = cache_list::configuration(records, &ids)?;
    let own = Descriptor::new(CACHE_CONFIG, Digest::of(&config), config.len() as u64);
    let blobs = ids.iter().filter_map(|id| sent.get(id).cloned());
    let manifest = to_json(&Manifest::new(own, blobs.collect()))?;
    if manifest.len() as u64 > MAX_MANIFEST {
        return Err(Error::Invalid(format!(
            "the cache has {} layers, which is more than a manifest takes",
            layers.len()
        )));
    }
    Ok(Documents { manifest, config })
}

fn is_plain(layer: &StoredLayer) -> bool {
    layer.descriptor.media_type == OCI_LAYER
}

impl Store {
    /// Sends a cache to a registry: layers that it lacks, then the list, then the name. Whoever calls
    /// holds the layers. Answers the digest of the manifest.
    ///
    /// # Errors
    /// In the registry's words. The name stands for what it stood for then.
    pub async fn export_cache(
        &self,
        reference: &Reference,
        records: &[CacheRecord],
        access: Access<'_>,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<String> {
        if reference.digest().is_some() {
            return Err(Error::Invalid("cannot push a digest reference".to_owned()));
        }
        let reference = reference.clone().with_default_tag();
        let registries = &self.0.registries;
        let session = registries.pushing(&reference, access.auth, &[], access.insecure)?;
        let push = Push {
            store: self,
            session: &session,
            progress,
            cancel,
        };
        let work = Box::pin(push.cache(&reference, records));
        let done = tokio::select! {
            done = work => done,
            () = cancel.cancelled() => Err(Error::Cancelled("the build")),
        };
        if done.is_err() {
            session.give_up().await;
        }
        done.map_err(worded)
    }

    /// Writes a cache as the archive of an OCI layout, `index.json` last, without the blobs that whoever
    /// gets it has by their digests and lengths. Whoever calls holds the layers. Blocks.
    ///
    /// # Errors
    /// When the disk cannot be read, or nobody wants more.
    pub fn cache_archive(
        &self,
        records: &[CacheRecord],
        have: &BTreeMap<String, u64>,
        out: impl Write,
        cancel: &CancellationToken,
    ) -> Result<String> {
        let broken = |e: io::Error| Error::io("send the build cache".to_owned(), e);
        let layers = cache_list::layers(records);
        let mut tar = TarWriter::new(out);
        for dir in ["blobs/", "blobs/sha256/"] {
            let header = Header::new(dir.as_bytes(), Kind::Dir, 0);
            tar.entry(&header).map_err(broken)?;
        }
        let mut sent = HashMap::new();
        let mut piece = vec![0; PIECE];
        let kind = format!("{OCI_LAYER}+gzip");
        for layer in &layers {
            let known = match is_plain(layer) {
                true => self
                    .packed(&layer.descriptor.digest)
                    .map(|p| Descriptor::new(&kind, p.digest, p.size)),
                false => Some(layer.descriptor.clone()),
            };
            if let Some(known) = known
                && have.get(known.digest.hex()) == Some(&known.size)
            {
                sent.insert(layer.diff_id.clone(), known);
                continue;
            }
            let packed = is_plain(layer)
                .then(|| self.pack(&layer.descriptor.digest, cancel))
                .transpose()?;
            let (blob, mut file) = match &packed {
                Some(blob) => {
                    let own = Descriptor::new(&kind, blob.digest.clone(), blob.size);
                    (own, blob.reader()?)
                }
                None => {
                    let own = layer.descriptor.clone();
                    let file = self.0.blobs.open(&own.digest)?;
                    (own, file)
                }
            };
            let name = format!("blobs/sha256/{}", blob.digest.hex());
            let header = Header::new(name.as_bytes(), Kind::File, blob.size);
            tar.entry(&header).map_err(broken)?;
            while tar.left() > 0 {
                if cancel.is_cancelled() {
                    return Err(Error::Cancelled("the build"));
                }
                let length = usize::try_from(tar.left()).unwrap_or(PIECE).min(PIECE);
                file.read_exact(&mut piece[..length]).map_err(broken)?;
                tar.data(&piece[..length]).map_err(broken)?;
            }
            sent.insert(layer.diff_id.clone(), blob);
        }
        let Documents { manifest, config } = documents(records, &layers, &sent)?;
        let digest = Digest::of(&manifest);
        let mut entry = Descriptor::new(OCI_MANIFEST, digest.clone(), manifest.len() as u64);
        entry.annotations = cache_list::annotations();
        let index = to_json(&Index {
            schema_version: 2,
            media_type: OCI_INDEX.to_owned(),
            manifests: vec![entry],
        })?;
        let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
        for (name, bytes) in [
            (blob(&config), config.as_slice()),
            (blob(&manifest), &manifest),
            (
                "oci-layout".to_owned(),
                b"{\"imageLayoutVersion\":\"1.0.0\"}",
            ),
            ("index.json".to_owned(), &index),
        ] {
            let header = Header::new(name.as_bytes(), Kind::File, bytes.len() as u64);
            tar.entry(&header).map_err(broken)?;
            tar.data(bytes).map_err(broken)?;
        }
        let mut out = tar.finish().map_err(broken)?;
        out.flush().map_err(broken)?;
        Ok(digest.to_string())
    }
}

impl Push<'_> {
    async fn cache(&self, reference: &Reference, records: &[CacheRecord]) -> Result<String> {
        let layers = cache_list::layers(records);
        let mut running = Vec::new();
        for layer in &layers {
            let job = Job {
                pack: is_plain(layer),
                layer: layer.descriptor.clone(),
                diff_id: layer.diff_id.clone(),
            };
            let sent = async move {
                let sent = self.layer(&job, &[]).await?;
                Ok::<_, Error>((job.diff_id, sent))
            };
            running.push(sent.boxed());
        }
        let mut running = running.into_iter().collect::<FuturesUnordered<_>>();
        let mut sent = HashMap::new();
        while let Some(done) = running.next().await {
            sent.extend([done?]);
        }
        for blob in sent.values_mut() {
            // Remarks are for whoever has the layer now.
            blob.annotations = BTreeMap::new();
        }
        let Documents { manifest, config } = documents(records, &layers, &sent)?;
        let digest = Digest::of(&config);
        if !self.session.has_blob(&digest).await? {
            let temp = self.store.0.temp.clone();
            let (size, bytes) = (config.len() as u64, config);
            let blob = blocking(move || {
                let mut writer = BlobWriter::new(&temp)?;
                writer.write(&bytes)?;
                writer.finish()
            })
            .await?;
            self.send(&digest, size, blob.path(), None, &|_| ()).await?;
        }
        let tag = reference.tag().unwrap_or_default();
        self.session
            .put_manifest(tag, OCI_MANIFEST, &manifest)
            .await?;
        Ok(Digest::of(&manifest).to_string())
    }
}
