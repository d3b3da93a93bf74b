//! Work in registries, for tests.

use api::backend::{RegistryAccess, RegistryWork, Result};
use async_trait::async_trait;
use types::registry::{IndexPut, IndexPutAnswer, RemoteManifest, RemoteRemoved, RepositoryTags};

use super::Fake;

#[async_trait]
impl RegistryWork for Fake {
    async fn manifest(
        &self,
        name: &str,
        access: RegistryAccess,
        deep: bool,
    ) -> Result<RemoteManifest> {
        self.note(format!(
            "manifest {name} deep={deep} insecure={}",
            access.insecure
        ));
        Ok(RemoteManifest::default())
    }

    async fn put_index(
        &self,
        name: &str,
        access: RegistryAccess,
        index: IndexPut,
    ) -> Result<IndexPutAnswer> {
        let user = access.auth.map(|auth| auth.username).unwrap_or_default();
        self.note(format!("put {name} {} as {user}", index.media_type));
        Ok(IndexPutAnswer::default())
    }

    async fn remove_manifest(
        &self,
        name: &str,
        _access: RegistryAccess,
        force: bool,
    ) -> Result<RemoteRemoved> {
        self.note(format!("remove {name} force={force}"));
        Ok(RemoteRemoved::default())
    }

    async fn tags(&self, name: &str, _access: RegistryAccess) -> Result<RepositoryTags> {
        self.note(format!("tags {name}"));
        Ok(RepositoryTags::default())
    }
}
