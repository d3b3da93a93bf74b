//! What is done in registries themselves, for the API.

use api::backend::{RegistryAccess, RegistryWork, Result};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{Access, Error, Part, Remote};
use types::{
    ErrorKind, Failure,
    registry::{
        Descriptor, IndexPut, IndexPutAnswer, RemoteManifest, RemoteRemoved, RepositoryTags,
    },
};

use super::{Images, images::reference};

/// Registries that hide what they have say the same of what they do not have.
fn failure(error: Error) -> Failure {
    match error {
        Error::AccessDenied { .. } => Failure::new(ErrorKind::Unauthorized, error),
        error => Failure::new(error.kind(), error),
    }
}

fn access(given: &RegistryAccess) -> Access<'_> {
    Access {
        auth: given.auth.as_ref(),
        insecure: given.insecure,
    }
}

fn decode(text: &str) -> Result<Vec<u8>> {
    let bytes = STANDARD.decode(text);
    bytes.map_err(|e| Failure::invalid(format!("a manifest is not in base64: {e}")))
}

fn shown(remote: Remote) -> RemoteManifest {
    let parts = remote.parts;
    RemoteManifest {
        descriptor: Descriptor {
            media_type: remote.media_type,
            digest: remote.digest,
            size: remote.bytes.len() as u64,
        },
        raw: STANDARD.encode(remote.bytes),
        config: remote
            .config
            .map(|c| STANDARD.encode(c))
            .unwrap_or_default(),
        manifests: parts.map(|parts| parts.into_iter().map(shown).collect()),
    }
}

/// Runs `work` to its end even when the client that asked for it goes away: a registry is left
/// with something whole, or with nothing begun.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::system(format!(
            "a task of the daemon failed: {error}"
        ))),
    }
}

#[async_trait]
impl RegistryWork for Images {
    async fn manifest(
        &self,
        name: &str,
        given: RegistryAccess,
        deep: bool,
    ) -> Result<RemoteManifest> {
        let (store, name) = (self.store(), reference(name)?);
        let found = store.remote(&name, access(&given), deep).await;
        found.map(shown).map_err(failure)
    }

    async fn put_index(
        &self,
        name: &str,
        given: RegistryAccess,
        index: IndexPut,
    ) -> Result<IndexPutAnswer> {
        let (store, name) = (self.store(), reference(name)?);
        if name.digest().is_some() {
            return Err(Failure::invalid("cannot push a digest reference"));
        }
        let bytes = decode(&index.raw)?;
        let mut parts = Vec::new();
        for part in index.parts {
            parts.push(Part {
                bytes: decode(&part.raw)?,
                repository: part.repository,
                media_type: part.media_type,
            });
        }
        to_the_end(async move {
            let kind = &index.media_type;
            let put = store.put_remote(&name, kind, &bytes, &parts, access(&given));
            let put = put.await.map_err(failure)?;
            Ok(IndexPutAnswer {
                parts: put.parts,
                digest: put.digest,
            })
        })
        .await
    }

    async fn remove_manifest(
        &self,
        name: &str,
        given: RegistryAccess,
        force: bool,
    ) -> Result<RemoteRemoved> {
        let (store, name) = (self.store(), reference(name)?);
        to_the_end(async move {
            let removed = store.remove_remote(&name, access(&given), force).await;
            let removed = removed.map_err(failure)?;
            Ok(RemoteRemoved { removed })
        })
        .await
    }

    async fn tags(&self, name: &str, given: RegistryAccess) -> Result<RepositoryTags> {
        let (store, name) = (self.store(), reference(name)?);
        let tags = store.tags(&name, access(&given)).await.map_err(failure)?;
        Ok(RepositoryTags {
            name: name.familiar_name(),
            tags,
        })
    }
}
