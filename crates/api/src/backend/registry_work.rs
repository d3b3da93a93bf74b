//! What is done in registries themselves; nothing of it touches the images here.

use async_trait::async_trait;
use types::{
    image::RegistryAuth,
    registry::{IndexPut, IndexPutAnswer, RemoteManifest, RemoteRemoved, RepositoryTags},
};

use super::Result;

/// Who asks a registry, and how.
#[derive(Debug, Clone, Default)]
pub struct RegistryAccess {
    /// As whom.
    pub auth: Option<RegistryAuth>,
    /// Verified TLS need not be.
    pub insecure: bool,
}

/// Work in registries.
#[async_trait]
pub trait RegistryWork: Send + Sync {
    /// What a name stands for; of an index also what it names, where `deep` says so.
    async fn manifest(
        &self,
        name: &str,
        access: RegistryAccess,
        deep: bool,
    ) -> Result<RemoteManifest>;
    /// Puts up an index.
    async fn put_index(
        &self,
        name: &str,
        access: RegistryAccess,
        index: IndexPut,
    ) -> Result<IndexPutAnswer>;
    /// Removes a tag or a manifest.
    async fn remove_manifest(
        &self,
        name: &str,
        access: RegistryAccess,
        force: bool,
    ) -> Result<RemoteRemoved>;
    /// The tags of a repository.
    async fn tags(&self, name: &str, access: RegistryAccess) -> Result<RepositoryTags>;
}
