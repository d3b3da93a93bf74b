//! Changes to containers' lives.

use async_trait::async_trait;
use types::container::{HostConfig, PruneResponse, TopResponse, UpdateResponse};

use super::{Filters, Result};

/// Changes to containers' lives. A `name` is a name, a full identifier or the unique beginning of
/// one.
#[async_trait]
pub trait Life: Send + Sync {
    /// Stops all its processes where they are.
    async fn pause(&self, name: &str) -> Result<()>;
    /// Lets them go on.
    async fn unpause(&self, name: &str) -> Result<()>;
    /// Gives it another name.
    async fn rename(&self, name: &str, new: &str) -> Result<()>;
    /// Changes limits and restart policy: what is zero in `change` stays.
    async fn update(&self, name: &str, change: HostConfig) -> Result<UpdateResponse>;
    /// Removes those that do not run, that `filters` let through, and that were made before
    /// `until` (nanoseconds since the epoch).
    async fn prune(&self, filters: Filters, until: Option<i64>) -> Result<PruneResponse>;
    /// Its processes; `arguments` are those of `ps`.
    async fn top(&self, name: &str, arguments: &str) -> Result<TopResponse>;
}
