//! Pulling an image.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use types::image::RegistryAuth;
use types::reference::Reference;

use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fetch::LayerJob;
use crate::image::Image;
use crate::manifest::{self, Descriptor, Document, MAX_CONFIG, MAX_MANIFEST, Manifest};
use crate::platform::Platform;
use crate::progress::{LayerStep, Progress};
use crate::registry::Session;
use crate::store::{Store, parse_config};

/// Where progress goes.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// What a pull came to.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The image.
    pub image: Arc<Image>,
    /// What was pulled, with its tag.
    pub reference: Reference,
    /// The digest of the manifest or index that the reference stands for.
    pub digest: String,
    /// Whether the reference meant another image, or none, before.
    pub newer: bool,
}

/// What the registry says of the image for one platform.
struct Resolved {
    /// Of what the reference stands for: an index or the manifest itself.
    digest: Digest,
    descriptor: Descriptor,
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
    /// The index that it was chosen from.
    index_bytes: Option<Vec<u8>>,
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Error::Io {
            what: "image work".to_owned(),
            source: e.into(),
        }),
    }
}

impl Store {
    /// Pulls an image, or finds that it is here already.
    ///
    /// Dropping the future or cancelling stops the pull; layers that are whole by then stay
    /// until the store is next opened or something is removed.
    ///
    /// # Errors
    /// With Docker's texts where Docker has them. Nothing becomes visible then.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        auth: Option<&RegistryAuth>,
        progress: OnProgress<'_>,
        cancel: CancellationToken,
    ) -> Result<Pulled> {
        let work = Box::pin(self.pull_all(reference, platform, auth, progress, &cancel));
        tokio::select! {
            done = work => done,
            () = cancel.cancelled() => Err(Error::Cancelled("the pull")),
        }
    }

    async fn pull_all(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        auth: Option<&RegistryAuth>,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Pulled> {
        let reference = reference.clone().with_default_tag();
        let mut last = None;
        for session in self.0.registries.pulling(&reference, auth, false)? {
            if let Some(error) = last.take() {
                tracing::warn!(%error, image = %reference.familiar(), "a mirror is passed over");
            }
            let work = self.pull_from(&session, &reference, platform, progress, cancel);
            match Box::pin(work).await {
                // Another place may well have it, unless the fault is this host's.
                Err(error) if session.mirror && !is_own(&error) => last = Some(error),
                done => return done,
            }
        }
        Err(last.unwrap_or(Error::Cancelled("the pull")))
    }

    async fn pull_from(
        &self,
        session: &Arc<Session>,
        reference: &Reference,
        platform: Option<&Platform>,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Pulled> {
        let which = reference.digest().or(reference.tag()).unwrap_or_default();
        let resolved = Box::pin(resolve(session, reference, platform)).await?;
        progress(Progress::Pulling {
            repository: reference.path().to_owned(),
            tag: which.to_owned(),
        });
        let before = self
            .get(&reference.familiar())
            .ok()
            .map(|image| image.id.clone());
        let manifest = resolved.manifest;
        let _pins = self.pin(
            [
                resolved.digest.clone(),
                resolved.descriptor.digest.clone(),
                manifest.config.digest.clone(),
            ]
            .into_iter()
            .chain(manifest.layers.iter().map(|layer| layer.digest.clone())),
        );
        let (config, config_bytes) = Box::pin(self.config(session, &manifest)).await?;
        check_config(reference, &manifest, &config, platform)?;
        let _layer_pins = self.pin(config.rootfs.diff_ids.iter().cloned());
        let newer = before.as_ref() != Some(&manifest.config.digest);
        self.pull_layers(session, &manifest, &config, progress, cancel)
            .await?;
        let names = names(reference, &resolved.digest)?;
        let store = self.clone();
        let mut descriptor = resolved.descriptor;
        let mark = crate::index::FROM_REGISTRY.to_owned();
        descriptor.annotations.insert(mark, "true".to_owned());
        if resolved.digest != descriptor.digest {
            let index = resolved.digest.to_string();
            let mark = crate::index::OUT_OF.to_owned();
            descriptor.annotations.insert(mark, index);
        }
        let image = blocking(move || {
            store.0.blobs.put(&store.0.temp, &config_bytes)?;
            store.0.blobs.put(&store.0.temp, &resolved.manifest_bytes)?;
            if let Some(index) = &resolved.index_bytes {
                store.0.blobs.put(&store.0.temp, index)?;
            }
            let image = store.commit_image(descriptor, &manifest, config, &names);
            sys::memory::trim();
            image
        })
        .await?;
        let digest = resolved.digest.to_string();
        progress(Progress::Digest(digest.clone()));
        let familiar = reference.familiar();
        progress(Progress::Status(if newer {
            format!("Status: Downloaded newer image for {familiar}")
        } else {
            format!("Status: Image is up to date for {familiar}")
        }));
        Ok(Pulled {
            image,
            reference: reference.clone(),
            digest,
            newer,
        })
    }

    /// The image's configuration, checked against its digest, and its exact bytes.
    async fn config(
        &self,
        session: &Session,
        manifest: &Manifest,
    ) -> Result<(ImageConfig, Vec<u8>)> {
        let descriptor = &manifest.config;
        let bytes = if self.0.blobs.has(&descriptor.digest) {
            self.0.blobs.read(&descriptor.digest, MAX_CONFIG)?
        } else {
            session
                .small_blob(&descriptor.digest, descriptor.size)
                .await?
        };
        Ok((parse_config(&descriptor.digest, &bytes)?, bytes))
    }

    async fn pull_layers(
        &self,
        session: &Arc<Session>,
        manifest: &Manifest,
        config: &ImageConfig,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let mut seen = HashSet::new();
        let mut jobs: Vec<_> = manifest
            .layers
            .iter()
            .zip(&config.rootfs.diff_ids)
            .filter(|(_, diff_id)| seen.insert(*diff_id))
            .map(|(blob, diff_id)| LayerJob {
                blob: blob.clone(),
                diff_id: diff_id.clone(),
            })
            .collect();
        let has_all = jobs.iter().all(|job| self.has_layer(job));
        if has_all && self.state().images.contains_key(&manifest.config.digest) {
            return Ok(());
        }
        for job in &jobs {
            let step = if self.has_layer(job) {
                LayerStep::AlreadyExists
            } else {
                LayerStep::PullingFsLayer
            };
            progress(job.step(step));
        }
        jobs.retain(|job| !self.has_layer(job));
        // The largest first: it is what the end waits for.
        jobs.sort_by_key(|job| std::cmp::Reverse(job.blob.size));
        let mut running: FuturesUnordered<_> = jobs
            .iter()
            .map(|job| Box::pin(self.fetch_layer(session, job, progress, cancel)))
            .collect();
        while let Some(done) = running.next().await {
            done?;
        }
        Ok(())
    }
}

/// Whether it is no registry's fault, so that no other one would be of help.
fn is_own(error: &Error) -> bool {
    matches!(
        error,
        Error::Io { .. } | Error::NoSpace { .. } | Error::Cancelled(_) | Error::Overlay(_)
    )
}

/// The names that a pulled image gets: what was asked for, and the digest that it stood for.
fn names(reference: &Reference, digest: &Digest) -> Result<Vec<Reference>> {
    let by_digest = reference.with_digest(&digest.to_string())?;
    match (reference.tag(), reference.digest()) {
        (Some(tag), None) => Ok(vec![reference.with_tag(tag)?, by_digest]),
        _ => Ok(vec![by_digest]),
    }
}

async fn resolve(
    session: &Session,
    reference: &Reference,
    platform: Option<&Platform>,
) -> Result<Resolved> {
    let wanted = match reference.digest() {
        Some(text) => Some(Digest::parse(text).map_err(Error::Unsupported)?),
        None => None,
    };
    let which = reference.digest().or(reference.tag()).unwrap_or_default();
    let name = reference.familiar();
    let fetched = session.manifest(which, MAX_MANIFEST).await?;
    let digest = Digest::of(&fetched.bytes);
    if let Some(wanted) = wanted {
        check_digest(&format!("manifest of {name}"), &wanted, &digest)?;
    }
    let what = format!("manifest of {name}");
    match manifest::parse(&what, &fetched.bytes, fetched.content_type.as_deref())? {
        Document::Manifest(manifest) => {
            let media_type = match manifest.media_type.as_str() {
                "" => fetched
                    .content_type
                    .as_deref()
                    .unwrap_or(manifest::OCI_MANIFEST),
                own => own,
            };
            let descriptor =
                Descriptor::new(media_type, digest.clone(), fetched.bytes.len() as u64);
            Ok(Resolved {
                digest,
                descriptor,
                manifest,
                manifest_bytes: fetched.bytes,
                index_bytes: None,
            })
        }
        Document::Index(index) => {
            let index_bytes = Some(fetched.bytes);
            let host = Platform::host();
            let chosen = index.choose(platform.unwrap_or(&host))?;
            let fetched = session
                .manifest(&chosen.digest.to_string(), MAX_MANIFEST)
                .await?;
            let what = format!("manifest {} of {name}", chosen.digest);
            check_digest(&what, &chosen.digest, &Digest::of(&fetched.bytes))?;
            let actual = fetched.bytes.len() as u64;
            if actual != chosen.size {
                return Err(Error::Size {
                    what,
                    expected: chosen.size,
                    actual,
                });
            }
            let content_type = fetched.content_type.as_deref();
            let Document::Manifest(manifest) =
                manifest::parse(&what, &fetched.bytes, content_type)?
            else {
                return Err(Error::Unsupported(format!(
                    "{what} is an index within an index, which is not supported"
                )));
            };
            let media_type = match chosen.media_type.as_str() {
                "" => manifest::OCI_MANIFEST,
                own => own,
            };
            let descriptor = Descriptor::new(media_type, chosen.digest.clone(), chosen.size);
            Ok(Resolved {
                digest,
                descriptor,
                manifest,
                manifest_bytes: fetched.bytes,
                index_bytes,
            })
        }
    }
}

fn check_digest(what: &str, expected: &Digest, actual: &Digest) -> Result<()> {
    if expected == actual {
        return Ok(());
    }
    Err(Error::Digest {
        what: what.to_owned(),
        expected: expected.to_string(),
        actual: actual.to_string(),
    })
}

/// Refuses a configuration that does not belong to the manifest or this host.
pub(crate) fn check_config(
    reference: &Reference,
    manifest: &Manifest,
    config: &ImageConfig,
    platform: Option<&Platform>,
) -> Result<()> {
    let name = reference.familiar();
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers != diff_ids {
        return Err(Error::bad_manifest(
            format!("image {name}"),
            format!("its manifest has {layers} layers, its configuration {diff_ids}"),
        ));
    }
    if !matches!(config.os.as_str(), "linux" | "") {
        return Err(Error::Unsupported(format!(
            "image operating system {:?} cannot be used on this platform: {name}",
            config.os
        )));
    }
    let actual = Platform {
        os: "linux".to_owned(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
    };
    match platform {
        Some(wanted) if !config.architecture.is_empty() && wanted.distance(&actual).is_none() => {
            Err(Error::WrongPlatform {
                reference: name,
                wanted: wanted.to_string(),
                actual: actual.to_string(),
            })
        }
        _ => Ok(()),
    }
}
