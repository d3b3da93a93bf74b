//! Pushing images: their layers side by side, each only where the registry lacks it, then the
//! configuration, then the manifest, so that nothing is named there that is not whole.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;
use types::image::RegistryAuth;
use types::reference::Reference;

use crate::blob::Blob;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index::{Entry, FROM_REGISTRY, give_name};
use crate::load::to_json;
use crate::manifest::{DOCKER_LAYER, Descriptor, Manifest, OCI_LAYER, OCI_MANIFEST};
use crate::mountable::repositories;
use crate::platform::Platform;
use crate::progress::{LayerStep, Progress};
use crate::pull::{OnProgress, blocking};
use crate::registry::{Begun, Session, Source};
use crate::store::Store;

/// Time between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);

/// A tag that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The image's name with its tag.
    pub reference: Reference,
    /// Digest of its manifest, or index, in the registry.
    pub digest: String,
    /// The length of that.
    pub size: u64,
    /// The media type of that.
    pub media_type: String,
}

/// A layer to be sent.
pub(crate) struct Job {
    pub(crate) layer: Descriptor,
    pub(crate) diff_id: Digest,
    /// It is stored unpacked, and goes out packed.
    pub(crate) pack: bool,
}

impl Job {
    fn step(&self, step: LayerStep) -> Progress {
        Progress::Layer {
            id: self.diff_id.short().to_owned(),
            step,
        }
    }
}

/// What is common to the layers of one push.
pub(crate) struct Push<'a> {
    pub(crate) store: &'a Store,
    pub(crate) session: &'a Session,
    pub(crate) progress: OnProgress<'a>,
    pub(crate) cancel: &'a CancellationToken,
}

/// A pull's words do not fit a push.
pub(crate) fn worded(error: Error) -> Error {
    match error {
        Error::AccessDenied { detail, .. } => Error::Denied(detail),
        // Registries that do not make repositories by themselves say this.
        Error::RepositoryUnknown { detail, .. } => Error::Missing(detail),
        error => error,
    }
}

impl Store {
    /// Pushes a tag, or all tags of a repository where `reference` has none.
    ///
    /// Dropping the future or cancelling stops it; the registry is told to forget what was begun.
    ///
    /// # Errors
    /// With Docker's texts where Docker has them.
    pub async fn push(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        auth: Option<&RegistryAuth>,
        progress: OnProgress<'_>,
        cancel: CancellationToken,
    ) -> Result<Vec<Pushed>> {
        if reference.digest().is_some() {
            return Err(Error::Invalid("cannot push a digest reference".to_owned()));
        }
        let name = reference.name();
        progress(Progress::Status(format!(
            "The push refers to repository [{name}]"
        )));
        let (entries, from) = {
            let state = self.state();
            let named = |entry: &&Entry| {
                let own = entry.name.as_ref().filter(|n| n.digest().is_none());
                own.is_some_and(|own| own.name() == name)
            };
            let mut entries: Vec<Entry> = state.entries.iter().filter(named).cloned().collect();
            if entries.is_empty() {
                return Err(Error::Missing(format!(
                    "An image does not exist locally with the tag: {}",
                    reference.familiar_name()
                )));
            }
            if let Some(tag) = reference.tag() {
                entries.retain(|e| e.name.as_ref().and_then(Reference::tag) == Some(tag));
            }
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            if let Some(platform) = platform {
                for entry in &mut entries {
                    self.for_platform(&state, entry, platform);
                }
            }
            (
                entries,
                repositories(&state.entries, reference, &state.manifests),
            )
        };
        if entries.is_empty() {
            let text = format!("tag does not exist: {}", reference.familiar());
            return Err(Error::Missing(text));
        }
        self.push_entries(
            reference,
            &entries,
            &from,
            (platform, auth),
            progress,
            &cancel,
        )
        .await
    }

    pub(crate) async fn push_entries(
        &self,
        reference: &Reference,
        entries: &[Entry],
        from: &[(String, HashSet<Digest>)],
        (platform, auth): (Option<&Platform>, Option<&RegistryAuth>),
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Pushed>> {
        let scopes: Vec<_> = from.iter().map(|(path, _)| path.clone()).collect();
        let session = self.0.registries.pushing(reference, auth, &scopes, false)?;
        let push = Push {
            store: self,
            session: &session,
            progress,
            cancel,
        };
        let mut done = Vec::new();
        for entry in entries {
            let work = Box::pin(push.tag(entry, platform, from));
            let pushed = tokio::select! {
                pushed = work => pushed,
                () = cancel.cancelled() => Err(Error::Cancelled("the push")),
            };
            match pushed {
                Ok(pushed) => done.push(pushed),
                Err(error) => {
                    session.give_up().await;
                    return Err(worded(error));
                }
            }
        }
        Ok(done)
    }
}

impl Push<'_> {
    async fn tag(
        &self,
        entry: &Entry,
        platform: Option<&Platform>,
        from: &[(String, HashSet<Digest>)],
    ) -> Result<Pushed> {
        if platform.is_none()
            && let Some(whole) = self.store.whole_index(entry)
        {
            return self.index(entry, whole, from).await;
        }
        let (kind, bytes) = self.content(&entry.manifest, platform, from).await?;
        self.publish(entry, &kind, &bytes).await
    }

    /// Sends all that a manifest names; answers what is to be put up in its place.
    pub(crate) async fn content(
        &self,
        descriptor: &Descriptor,
        platform: Option<&Platform>,
        from: &[(String, HashSet<Digest>)],
    ) -> Result<(String, Vec<u8>)> {
        let store = self.store;
        let digest = &descriptor.digest;
        let gone = || Error::NoSuchImage(digest.to_string());
        let (manifest, image, as_it_is) = {
            let state = store.state();
            let manifest = state.manifests.get(digest).cloned().ok_or_else(gone)?;
            let image = state.images.get(&manifest.config.digest);
            // What a registry had in just this form keeps it, and thereby its digest.
            let known = state.entries.iter().any(|e| {
                let name = e.name.as_ref().and_then(Reference::digest);
                // Of what came out of an index the name has the index's digest.
                let marked = e.manifest.annotations.contains_key(FROM_REGISTRY);
                e.manifest.digest == *digest
                    && (marked || name == Some(digest.to_string().as_str()))
            });
            (manifest, image.cloned().ok_or_else(gone)?, known)
        };
        image.check_platform(platform)?;
        let _pins = store.pin(
            [digest.clone(), manifest.config.digest.clone()]
                .into_iter()
                .chain(manifest.layers.iter().map(|layer| layer.digest.clone())),
        );
        let jobs: Vec<_> = manifest
            .layers
            .iter()
            .zip(image.diff_ids())
            .map(|(layer, diff_id)| Job {
                pack: !as_it_is && matches!(layer.media_type.as_str(), OCI_LAYER | DOCKER_LAYER),
                layer: layer.clone(),
                diff_id: diff_id.clone(),
            })
            .collect();
        let mut seen = HashSet::new();
        let unique: Vec<_> = jobs
            .iter()
            .rev()
            .filter(|job| seen.insert(&job.layer.digest))
            .collect();
        for job in &unique {
            (self.progress)(job.step(LayerStep::Preparing));
        }
        let mut running = Vec::new();
        for job in unique {
            let sent = async move {
                let sent = self.layer(job, from).await?;
                Ok::<_, Error>((job.layer.digest.clone(), sent))
            };
            running.push(sent.boxed());
        }
        let mut running = running.into_iter().collect::<FuturesUnordered<_>>();
        let mut sent = std::collections::HashMap::new();
        while let Some(done) = running.next().await {
            sent.extend([done?]);
        }
        let config = &manifest.config;
        if !self.session.has_blob(&config.digest).await? {
            let path = store.0.blobs.path(&config.digest);
            self.send(&config.digest, config.size, path, None, &|_| ())
                .await?;
        }
        if jobs.iter().any(|job| job.pack) {
            let layers = jobs
                .iter()
                .filter_map(|job| sent.get(&job.layer.digest).cloned());
            let mut config = config.clone();
            crate::manifest::OCI_CONFIG.clone_into(&mut config.media_type);
            let bytes = to_json(&Manifest::new(config, layers.collect()))?;
            return Ok((OCI_MANIFEST.to_owned(), bytes));
        }
        let kind = match descriptor.media_type.as_str() {
            "" => OCI_MANIFEST,
            own => own,
        };
        let bytes = store.0.blobs.read(digest, crate::manifest::MAX_MANIFEST)?;
        Ok((kind.to_owned(), bytes))
    }

    /// Puts a manifest or index up under an entry's tag, after all that it names.
    pub(crate) async fn publish(&self, entry: &Entry, kind: &str, bytes: &[u8]) -> Result<Pushed> {
        let gone = || Error::NoSuchImage(entry.manifest.digest.to_string());
        let name = entry.name.clone().ok_or_else(gone)?;
        let tag = name.tag().unwrap_or_default().to_owned();
        self.session.put_manifest(&tag, kind, bytes).await?;
        let pushed = Digest::of(bytes).to_string();
        let size = bytes.len() as u64;
        (self.progress)(Progress::Status(format!(
            "{tag}: digest: {pushed} size: {size}"
        )));
        (self.progress)(Progress::Tag {
            tag,
            digest: pushed.clone(),
            size,
        });
        self.note(entry, &name, &pushed).await?;
        Ok(Pushed {
            reference: name,
            digest: pushed,
            size,
            media_type: kind.to_owned(),
        })
    }

    /// The image is known by its digest in the registry from now on, as Docker has it.
    async fn note(&self, entry: &Entry, name: &Reference, digest: &str) -> Result<()> {
        let (store, by_digest) = (self.store.clone(), name.with_digest(digest)?);
        let manifest = entry.manifest.clone();
        blocking(move || {
            store.change_entries(|state| {
                let mut entries = state.entries.clone();
                // Unless it was removed meanwhile.
                if entries.iter().any(|e| e.manifest.digest == manifest.digest) {
                    give_name(&mut entries, &by_digest, &manifest);
                }
                Ok(entries)
            })
        })
        .await
    }

    /// Has the registry have a layer; answers in which form.
    pub(crate) async fn layer(
        &self,
        job: &Job,
        from: &[(String, HashSet<Digest>)],
    ) -> Result<Descriptor> {
        let plain = &job.layer.digest;
        let permit = match self.store.0.uploads.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(_) => {
                (self.progress)(job.step(LayerStep::Waiting));
                self.store.0.uploads.acquire().await
            }
        };
        let _permit = permit.map_err(|_| Error::Cancelled("the push"))?;
        let form = |digest: &Digest, size: u64| {
            if job.pack {
                Descriptor::new(&format!("{OCI_LAYER}+gzip"), digest.clone(), size)
            } else {
                job.layer.clone()
            }
        };
        let known = if job.pack {
            self.store.packed(plain).map(|p| form(&p.digest, p.size))
        } else {
            Some(job.layer.clone())
        };
        if let Some(known) = &known
            && self.session.has_blob(&known.digest).await?
        {
            (self.progress)(job.step(LayerStep::LayerExists));
            return Ok(known.clone());
        }
        let blob: Option<Blob> = if job.pack {
            let (store, plain, cancel) = (self.store.clone(), plain.clone(), self.cancel.clone());
            Some(blocking(move || store.pack(&plain, &cancel)).await?)
        } else {
            None
        };
        let (sent, path) = match &blob {
            Some(blob) => (form(&blob.digest, blob.size), blob.path()),
            None => (job.layer.clone(), self.store.0.blobs.path(plain)),
        };
        if blob.is_some()
            && known.as_ref() != Some(&sent)
            && self.session.has_blob(&sent.digest).await?
        {
            (self.progress)(job.step(LayerStep::LayerExists));
            return Ok(sent);
        }
        let other = from.iter().find(|(_, layers)| layers.contains(plain));
        let other = other.map(|(path, _)| path.as_str());
        let total = sent.size;
        let report = |current| {
            (self.progress)(job.step(LayerStep::Pushing { current, total }));
        };
        let step = match self.send(&sent.digest, total, path, other, &report).await? {
            Some(other) => LayerStep::Mounted(other),
            None => LayerStep::Pushed,
        };
        (self.progress)(job.step(step));
        Ok(sent)
    }

    /// Sends a file, or has the registry take it from its repository `other`, which is answered
    /// then.
    pub(crate) async fn send(
        &self,
        digest: &Digest,
        size: u64,
        path: PathBuf,
        other: Option<&str>,
        report: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<String>> {
        let at = match self.session.begin(digest, other).await? {
            Begun::Mounted => return Ok(other.map(str::to_owned)),
            Begun::At(at) => at,
        };
        let sent = Arc::new(AtomicU64::new(0));
        let source = Source {
            path,
            size,
            offset: 0,
            sent: sent.clone(),
        };
        let mut upload = Box::pin(self.session.upload(digest, at, &source));
        loop {
            if let Ok(done) = tokio::time::timeout(REPORT, &mut upload).await {
                return done.map(|()| None);
            }
            report(sent.load(Ordering::Relaxed).min(size));
        }
    }
}
