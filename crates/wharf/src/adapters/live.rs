//! What containers do and take, for the API.

use api::backend::{self, Result};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use types::{
    image::ImageSummary,
    options::{Filters, ListOptions, StatsMode, UsageOptions},
    stats::ContainerStats,
    usage::DiskUsage,
    volume::VolumesPruned,
};

use super::{Containers, images, to_the_end};

#[async_trait]
impl backend::Live for Containers {
    async fn stats(
        &self,
        name: &str,
        mode: StatsMode,
    ) -> Result<BoxStream<'static, ContainerStats>> {
        Ok(self.engine.stats(name, mode).await?)
    }

    async fn disk_usage(&self, options: UsageOptions) -> Result<DiskUsage> {
        let mut usage = DiskUsage::default();
        if options.images {
            let (layers, list) = self.image_usage();
            usage.layers_size = Some(layers);
            usage.images = Some(list);
        }
        if options.containers {
            let all = ListOptions {
                all: true,
                limit: None,
                size: true,
                filters: Filters::new(),
            };
            usage.containers = Some(self.engine.list(all).await?);
        }
        if options.volumes {
            usage.volumes = Some(self.engine.volume_usage().await?);
        }
        Ok(usage)
    }

    async fn prune_volumes(&self, all: bool, filters: Filters) -> Result<VolumesPruned> {
        let (engine, _) = self.parts("");
        to_the_end(async move { engine.prune_volumes(all, &filters).await }).await
    }
}

impl Containers {
    fn image_usage(&self) -> (i64, Vec<ImageSummary>) {
        let store = self.engine.images();
        let usage = store.usage();
        let list = store.list();
        let counted = list.iter().map(|image| {
            let mut summary = images::summary(image);
            let shared = usage.shared.get(&image.id).copied().unwrap_or(0);
            summary.shared_size = shared.cast_signed();
            summary.containers = self.engine.containers_of(&summary.id);
            summary
        });
        (usage.layers.cast_signed(), counted.collect())
    }
}
