//! What is in registries, without pulling it: manifests and indexes as they are there, lists of
//! tags, putting up indexes, removing.
//!
//! Documents are handed on as they came, once their digests are checked: whoever shows them, or
//! makes an index of them, must have every byte.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::{StreamExt as _, TryStreamExt as _};
use types::image::RegistryAuth;
use types::reference::Reference;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{self, Descriptor, Document, Kind, MAX_CONFIG, MAX_MANIFEST, OCI_MANIFEST};
use crate::registry::{Begun, Session, Source};
use crate::store::Store;

/// Most manifests of one index that are looked at.
const MAX_PARTS: usize = 200;
/// Most bytes that one answer is put together of.
const MAX_ANSWER: u64 = 32 << 20;
/// Documents fetched at the same time.
const AT_ONCE: usize = 4;

/// A manifest or index as it is in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Every byte of it.
    pub bytes: Vec<u8>,
    /// The configuration that it names, where it is an image's.
    pub config: Option<Vec<u8>>,
    /// What an index names, in its order, where that was asked for.
    pub parts: Option<Vec<Remote>>,
}

/// A manifest that an index names and that is in another repository of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it is.
    pub repository: String,
    /// Its media type.
    pub media_type: String,
    /// Every byte of it.
    pub bytes: Vec<u8>,
}

/// What was put up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Digests of the parts, in their order.
    pub parts: Vec<String>,
    /// Digest of the index.
    pub digest: String,
}

/// Who asks, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access<'a> {
    /// As whom.
    pub auth: Option<&'a RegistryAuth>,
    /// Verified TLS need not be.
    pub insecure: bool,
}

fn which(reference: &Reference) -> &str {
    reference.digest().or(reference.tag()).unwrap_or_default()
}

/// Fetches one document; its digest is right where `wanted` says which it is.
pub(crate) async fn fetch(session: &Session, what: &str, wanted: &str) -> Result<(Kind, Remote)> {
    let fetched = session.manifest(wanted, MAX_MANIFEST).await?;
    let digest = Digest::of(&fetched.bytes);
    if let Ok(expected) = Digest::parse(wanted)
        && expected != digest
    {
        return Err(Error::Digest {
            what: what.to_owned(),
            expected: expected.to_string(),
            actual: digest.to_string(),
        });
    }
    let sent_as = fetched.content_type.as_deref();
    let (kind, members) = manifest::classify(what, &fetched.bytes, sent_as)?;
    let own = members.get("mediaType").and_then(serde_json::Value::as_str);
    let media_type = own.or(sent_as).unwrap_or(OCI_MANIFEST).to_owned();
    let remote = Remote {
        media_type,
        digest: digest.to_string(),
        bytes: fetched.bytes,
        config: None,
        parts: None,
    };
    Ok((kind, remote))
}

/// The configuration of an image. Other things that have manifests have none that is of use.
async fn config(session: &Session, what: &str, remote: &Remote) -> Result<Option<Vec<u8>>> {
    let Ok(Document::Manifest(manifest)) =
        manifest::parse(what, &remote.bytes, Some(&remote.media_type))
    else {
        return Ok(None);
    };
    let Descriptor { digest, size, .. } = &manifest.config;
    if *size > MAX_CONFIG {
        return Err(Error::bad_manifest(what, "its configuration is too large"));
    }
    session.small_blob(digest, *size).await.map(Some)
}

/// Digests and lengths of what an index names.
fn entries(what: &str, remote: &Remote) -> Result<Vec<(Digest, u64)>> {
    let document = manifest::parse(what, &remote.bytes, Some(&remote.media_type))?;
    let Document::Index(index) = document else {
        return Ok(Vec::new());
    };
    if index.manifests.len() > MAX_PARTS {
        return Err(Error::bad_manifest(
            what,
            format!(
                "it names {} manifests, the limit is {MAX_PARTS}",
                index.manifests.len()
            ),
        ));
    }
    let entries = index.manifests.into_iter();
    Ok(entries.map(|entry| (entry.digest, entry.size)).collect())
}

/// What a name stands for in one registry.
async fn remote_from(session: &Session, reference: &Reference, deep: bool) -> Result<Remote> {
    let what = format!("manifest of {}", reference.familiar());
    let (kind, mut remote) = fetch(session, &what, which(reference)).await?;
    if kind == Kind::Manifest {
        remote.config = config(session, &what, &remote).await?;
        return Ok(remote);
    }
    if !deep {
        return Ok(remote);
    }
    let left = &AtomicU64::new(MAX_ANSWER);
    let spend = |bytes: usize| {
        use std::sync::atomic::Ordering::Relaxed;
        let bytes = bytes as u64;
        let spent = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
        spent.map(drop).map_err(|_| {
            let why = format!("it and what it names have more than {MAX_ANSWER} bytes");
            Error::bad_manifest(&what, why)
        })
    };
    let spend = &spend;
    let parts = entries(&what, &remote)?.into_iter();
    let parts = parts.map(|(digest, size)| async move {
        let what = format!("manifest {digest}");
        let (_, mut part) = fetch(session, &what, &digest.to_string()).await?;
        let actual = part.bytes.len() as u64;
        if actual != size {
            return Err(Error::Size {
                what,
                expected: size,
                actual,
            });
        }
        spend(part.bytes.len())?;
        part.config = config(session, &what, &part).await?;
        spend(part.config.as_ref().map_or(0, Vec::len))?;
        Ok(part)
    });
    let parts: Vec<_> = futures_util::stream::iter(parts)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    remote.parts = Some(parts);
    Ok(remote)
}

impl Store {
    /// What a name stands for in its registry, and where `deep` says so what an index names.
    ///
    /// # Errors
    /// In Docker's words; also when something is other than its digest or length says.
    pub async fn remote(
        &self,
        reference: &Reference,
        access: Access<'_>,
        deep: bool,
    ) -> Result<Remote> {
        let reference = reference.clone().with_default_tag();
        let reference = &reference;
        self.ask(reference, access, |session| async move {
            remote_from(&session, reference, deep).await
        })
        .await
    }

    /// Asks those who may have what belongs to a reference until one answers: the Hub's mirrors come
    /// before it.
    pub(crate) async fn ask<T, F: Future<Output = Result<T>>>(
        &self,
        reference: &Reference,
        access: Access<'_>,
        question: impl Fn(Arc<Session>) -> F,
    ) -> Result<T> {
        let registries = &self.0.registries;
        let mut last = None;
        for session in registries.pulling(reference, access.auth, access.insecure)? {
            match question(session.clone()).await {
                Err(error) if session.mirror => last = Some(error),
                done => return done,
            }
        }
        Err(last.unwrap_or(Error::Cancelled("the question")))
    }

    /// All tags of a repository.
    ///
    /// # Errors
    /// In Docker's words.
    pub async fn tags(&self, reference: &Reference, access: Access<'_>) -> Result<Vec<String>> {
        let mut tags = self
            .ask(
                reference,
                access,
                |session| async move { session.tags().await },
            )
            .await?;
        // Registries give them in orders of their own.
        tags.sort();
        tags.dedup();
        Ok(tags)
    }

    /// Removes a tag, or a manifest by its digest, from its registry; answers what is gone.
    ///
    /// Many registries cannot remove a tag and keep its manifest. There a tag is only removed
    /// where `force` says that the manifest may go, which takes its other tags along.
    ///
    /// # Errors
    /// In the registry's words, or when it cannot remove a tag alone.
    pub async fn remove_remote(
        &self,
        reference: &Reference,
        access: Access<'_>,
        force: bool,
    ) -> Result<String> {
        let reference = reference.clone().with_default_tag();
        let registries = &self.0.registries;
        let session = registries.deleting(&reference, access.auth, access.insecure)?;
        let name = reference.familiar_name();
        if let Some(digest) = reference.digest() {
            session.delete_manifest(digest).await?;
            return Ok(format!("{name}@{digest}"));
        }
        let what = format!("manifest of {}", reference.familiar());
        let (_, remote) = fetch(&session, &what, which(&reference)).await?;
        if session.delete_tag(which(&reference)).await? {
            return Ok(reference.familiar());
        }
        let by_digest = format!("{name}@{}", remote.digest);
        if !force {
            return Err(Error::Conflict(format!(
                "the registry cannot remove the tag {} alone: its manifest is {by_digest}; remove \
                 that, or force it, and all tags of the manifest go",
                reference.familiar()
            )));
        }
        session.delete_manifest(&remote.digest).await?;
        Ok(by_digest)
    }

    /// Puts up an index under a name, after what it names that is not in its repository yet.
    ///
    /// # Errors
    /// In Docker's words. The name stands for what it stood for then.
    pub async fn put_remote(
        &self,
        target: &Reference,
        media_type: &str,
        bytes: &[u8],
        parts: &[Part],
        access: Access<'_>,
    ) -> Result<Copied> {
        let target = target.clone().with_default_tag();
        let what = format!("index {}", target.familiar());
        let Document::Index(_) = manifest::parse(&what, bytes, Some(media_type))? else {
            return Err(Error::bad_manifest(what, "it is no index"));
        };
        if parts.len() > MAX_PARTS {
            let why = format!("it has {} parts, the limit is {MAX_PARTS}", parts.len());
            return Err(Error::bad_manifest(what, why));
        }
        let registries = &self.0.registries;
        let mut from: Vec<String> = parts.iter().map(|p| p.repository.clone()).collect();
        from.sort();
        from.dedup();
        let session = registries.pushing(&target, access.auth, &from, access.insecure)?;
        let done = self.put_all(&session, &target, parts, access).await;
        let done = match done {
            Ok(parts) => {
                let put = session.put_manifest(which(&target), media_type, bytes);
                put.await.map(|()| parts)
            }
            failed => failed,
        };
        match done {
            Ok(parts) => Ok(Copied {
                parts,
                digest: Digest::of(bytes).to_string(),
            }),
            Err(error) => {
                session.give_up().await;
                Err(error)
            }
        }
    }

    async fn put_all(
        &self,
        session: &Session,
        target: &Reference,
        parts: &[Part],
        access: Access<'_>,
    ) -> Result<Vec<String>> {
        let mut digests = Vec::new();
        for part in parts {
            let digest = Digest::of(&part.bytes).to_string();
            let what = format!("manifest {digest}");
            let kind = part.media_type.as_str();
            let Document::Manifest(manifest) = manifest::parse(&what, &part.bytes, Some(kind))?
            else {
                return Err(Error::bad_manifest(what, "it is an index"));
            };
            let source = Reference::parse(&format!("{}/{}", target.domain(), part.repository))?;
            for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
                self.bring(session, &source, blob, access).await?;
            }
            session.put_manifest(&digest, kind, &part.bytes).await?;
            digests.push(digest);
        }
        Ok(digests)
    }

    /// Has a blob of another repository in the session's: the registry takes it from there, or
    /// it is carried.
    async fn bring(
        &self,
        session: &Session,
        source: &Reference,
        blob: &Descriptor,
        access: Access<'_>,
    ) -> Result<()> {
        let digest = &blob.digest;
        if session.has_blob(digest).await? {
            return Ok(());
        }
        let Begun::At(at) = session.begin(digest, Some(source.path())).await? else {
            return Ok(());
        };
        let registries = &self.0.registries;
        let from = registries.session_as(source, access.auth, access.insecure)?;
        let whole = self.carry(&from, blob).await?;
        let source = Source {
            path: whole.path(),
            size: blob.size,
            offset: 0,
            sent: Arc::default(),
        };
        session.upload(digest, at, &source).await
    }
}
