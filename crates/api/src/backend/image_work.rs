//! Longer work on images.

use async_trait::async_trait;
use types::{
    gc::GcReport,
    image::{AuthAnswer, HistoryItem, ImagesPruned, RegistryAuth, SearchResult},
    options::Filters,
    registry::DistributionInspect,
};

use super::{Body, Progress, Result};

/// Longer work on images, and registries.
#[async_trait]
pub trait ImageWork: Send + Sync {
    /// The steps of its making, the last one first.
    async fn history(&self, name: &str, platform: Option<String>) -> Result<Vec<HistoryItem>>;
    /// An archive of images, by names or identifiers.
    async fn save(&self, names: Vec<String>, platform: Option<String>) -> Result<Body>;
    /// Removes those that nothing uses: those without a name, or `all`.
    async fn prune(&self, all: bool, filters: Filters) -> Result<ImagesPruned>;
    /// Does what the policy of the automatic clean-up says, or tells what that would be.
    async fn collect(&self, dry_run: bool) -> Result<GcReport>;
    /// Sends a tag to its registry, or all tags of a repository where `name` has none.
    async fn push(
        &self,
        name: &str,
        platform: Option<String>,
        auth: Option<RegistryAuth>,
    ) -> Result<Progress>;
    /// Looks for images by a part of their names.
    async fn search(
        &self,
        term: &str,
        limit: usize,
        filters: Filters,
        auth: Option<RegistryAuth>,
    ) -> Result<Vec<SearchResult>>;
    /// What a name stands for in its registry.
    async fn distribution(
        &self,
        name: &str,
        auth: Option<RegistryAuth>,
    ) -> Result<DistributionInspect>;
    /// Has a registry check credentials.
    async fn login(&self, auth: RegistryAuth) -> Result<AuthAnswer>;
}
