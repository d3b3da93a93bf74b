//! What containers do and take.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use types::{
    options::{Filters, StatsMode, UsageOptions},
    stats::ContainerStats,
    usage::DiskUsage,
    volume::VolumesPruned,
};

use super::Result;

/// What containers do and take.
#[async_trait]
pub trait Live: Send + Sync {
    /// What a container uses.
    async fn stats(
        &self,
        name: &str,
        mode: StatsMode,
    ) -> Result<BoxStream<'static, ContainerStats>>;
    /// How much disk everything takes.
    async fn disk_usage(&self, options: UsageOptions) -> Result<DiskUsage>;
    /// Removes the volumes that no container has: those made for one container, or `all`.
    async fn prune_volumes(&self, all: bool, filters: Filters) -> Result<VolumesPruned>;
}
