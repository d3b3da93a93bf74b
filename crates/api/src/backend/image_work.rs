//! Longer work on images.

use async_trait::async_trait;
use types::{
    image::{HistoryItem, ImagesPruned},
    options::Filters,
};

use super::{Body, Result};

/// Longer work on images, and registries.
#[async_trait]
pub trait ImageWork: Send + Sync {
    /// The steps of its making, the last one first.
    async fn history(&self, name: &str, platform: Option<String>) -> Result<Vec<HistoryItem>>;
    /// An archive of images, by names or identifiers.
    async fn save(&self, names: Vec<String>, platform: Option<String>) -> Result<Body>;
    /// Removes those that nothing uses: those without a name, or `all`.
    async fn prune(&self, all: bool, filters: Filters) -> Result<ImagesPruned>;
}
