//! Volumes.

use async_trait::async_trait;
use types::{
    options::Filters,
    volume::{Volume, VolumeCopied, VolumeCreate, VolumeList},
};

use super::{Body, Result};

/// Volumes.
#[async_trait]
pub trait Volumes: Send + Sync {
    /// Makes one, unless it is there.
    async fn create(&self, request: VolumeCreate) -> Result<Volume>;
    /// Those that match.
    async fn list(&self, filters: Filters) -> Result<VolumeList>;
    /// Everything about one.
    async fn inspect(&self, name: &str) -> Result<Volume>;
    /// Removes one that no container has.
    async fn remove(&self, name: &str, force: bool) -> Result<()>;
    /// Makes `new` with what is in `name`; a `snapshot`, also where `new` is empty, says so.
    async fn copy(&self, name: &str, new: &str, snapshot: bool) -> Result<VolumeCopied>;
    /// All of one as a packed archive, and what it lacks.
    async fn export(&self, name: &str) -> Result<(Body, Vec<String>)>;
    /// Makes one of an archive of at most `limit` bytes, unpacked.
    async fn import(&self, name: &str, limit: Option<u64>, archive: Body) -> Result<Volume>;
}
