//! Networks, to read.

use async_trait::async_trait;
use types::{network::NetworkInspect, options::Filters};

use super::Result;

/// Networks, to read.
#[async_trait]
pub trait Networks: Send + Sync {
    /// Those that match, without their containers.
    async fn list(&self, filters: Filters) -> Result<Vec<NetworkInspect>>;
    /// Everything about one, by name, identifier or the unique beginning of one.
    async fn inspect(&self, name: &str) -> Result<NetworkInspect>;
}
