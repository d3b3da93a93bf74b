//! Longer work on images, for the API.

use std::collections::BTreeMap;

use api::backend::{self, Body, Progress, Result};
use async_trait::async_trait;
use types::{
    gc::GcReport,
    image::{AuthAnswer, HistoryItem, ImagesPruned, RegistryAuth, SearchResult},
    options::Filters,
    registry::DistributionInspect,
};

use super::{
    Images, filters,
    images::{blocking, failure, platform},
    no_thread, registries,
};

#[async_trait]
impl backend::ImageWork for Images {
    async fn history(&self, name: &str, wanted: Option<String>) -> Result<Vec<HistoryItem>> {
        let wanted = platform(wanted)?;
        let store = self.store();
        let image = store.get_for(name, wanted.as_ref()).map_err(failure)?;
        Ok(store.history(&image))
    }

    async fn save(&self, names: Vec<String>, wanted: Option<String>) -> Result<Body> {
        let wanted = platform(wanted)?;
        let thread = self.outgoing.free().await;
        let saving = self
            .store()
            .save(&names, wanted.as_ref())
            .map_err(failure)?;
        for image in &saving.images {
            self.engine
                .events
                .tell("image", "save", image, BTreeMap::new());
        }
        let (mut sink, chunks) = engine::pipe();
        let work = move || {
            let done = saving.write(&mut sink);
            sink.end(done);
        };
        thread.start(work).map_err(no_thread)?;
        Ok(chunks)
    }

    async fn prune(&self, all: bool, mut wanted: Filters) -> Result<ImagesPruned> {
        let store = self.store();
        if !all {
            wanted.insert("dangling".to_owned(), vec!["true".to_owned()]);
        }
        let chosen = filters::images(&store, &wanted)?;
        let engine = self.engine.clone();
        let (gone, bytes) = blocking(move || {
            let mut gone = Vec::new();
            // What several images have is freed with the last of them.
            let before = store.usage().layers;
            for image in chosen {
                let id = image.id.to_string();
                if !engine.users_of(&id).is_empty() {
                    continue;
                }
                let users = |image: &str| engine.users_of(image);
                // By its names, so that one that got a user meanwhile is refused, not forced.
                let names = image.repo_tags();
                let names = if names.is_empty() { vec![id] } else { names };
                for name in names {
                    match store.remove(&name, false, false, &users) {
                        Ok(some) => gone.extend(some),
                        Err(error) => tracing::warn!(%name, %error, "an image is not pruned"),
                    }
                }
            }
            let bytes = before.saturating_sub(store.usage().layers);
            Ok((gone, bytes))
        })
        .await?;
        let deleted = self.told_gone(gone);
        let told = BTreeMap::from([("reclaimed".to_owned(), bytes.to_string())]);
        self.engine.events.tell("image", "prune", "", told);
        Ok(ImagesPruned {
            images_deleted: (!deleted.is_empty()).then_some(deleted),
            space_reclaimed: bytes.cast_signed(),
        })
    }

    async fn collect(&self, dry_run: bool) -> Result<GcReport> {
        self.clean_up(dry_run, 0).await
    }

    async fn push(
        &self,
        name: &str,
        wanted: Option<String>,
        auth: Option<RegistryAuth>,
    ) -> Result<Progress> {
        registries::push(self, name, wanted, auth).await
    }

    async fn search(
        &self,
        term: &str,
        limit: usize,
        filters: Filters,
        auth: Option<RegistryAuth>,
    ) -> Result<Vec<SearchResult>> {
        registries::search(self, term, limit, &filters, auth).await
    }

    async fn distribution(
        &self,
        name: &str,
        auth: Option<RegistryAuth>,
    ) -> Result<DistributionInspect> {
        registries::distribution(self, name, auth).await
    }

    async fn login(&self, auth: RegistryAuth) -> Result<AuthAnswer> {
        registries::login(self, &auth).await
    }
}
