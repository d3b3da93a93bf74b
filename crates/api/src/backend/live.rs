//! What containers do and take.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use types::{
    options::{StatsMode, UsageOptions},
    stats::ContainerStats,
    usage::DiskUsage,
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
}
