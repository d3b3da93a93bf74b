//! What containers do and take.

use api::backend::{Live, Result};
use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use types::{
    options::{Filters, StatsMode, UsageOptions},
    stats::ContainerStats,
    usage::DiskUsage,
    volume::VolumesPruned,
};

use super::Fake;

#[async_trait]
impl Live for Fake {
    async fn stats(
        &self,
        name: &str,
        mode: StatsMode,
    ) -> Result<BoxStream<'static, ContainerStats>> {
        self.note(format!("stats {name} {mode:?}"));
        super::backends::known(name)?;
        let sample = ContainerStats {
            id: name.to_owned(),
            ..ContainerStats::default()
        };
        let count = if mode == StatsMode::Stream { 2 } else { 1 };
        Ok(stream::iter(vec![sample; count]).boxed())
    }

    async fn disk_usage(&self, options: UsageOptions) -> Result<DiskUsage> {
        self.note(format!("df {options:?}"));
        Ok(DiskUsage {
            images: options.images.then(Vec::new),
            ..DiskUsage::default()
        })
    }

    async fn prune_volumes(&self, all: bool, filters: Filters) -> Result<VolumesPruned> {
        self.note(format!("volumes prune {all} {filters:?}"));
        Ok(VolumesPruned::default())
    }
}
