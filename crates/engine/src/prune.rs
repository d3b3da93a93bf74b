//! Removing all containers that do not run.

use types::{
    container::PruneResponse,
    options::{Filters, RemoveOptions},
};

use std::sync::{Arc, atomic::Ordering};

use crate::{
    Engine, blocking, clock,
    container::Container,
    error::{Error, Result},
    list,
    state::Phase,
    sync::lock,
};

impl Engine {
    /// Removes the containers that do not run and that `filters` (`label`, `label!`) let through,
    /// made before `until` (nanoseconds since the epoch).
    pub async fn prune_containers(
        self: &Arc<Self>,
        filters: &Filters,
        until: Option<i64>,
    ) -> Result<PruneResponse> {
        if self.pruning.swap(true, Ordering::SeqCst) {
            return Err(Error::Conflict(
                "a prune operation is already running".into(),
            ));
        }
        let pruned = self.prune_all(filters, until).await;
        self.pruning.store(false, Ordering::SeqCst);
        pruned
    }

    async fn prune_all(
        self: &Arc<Self>,
        filters: &Filters,
        until: Option<i64>,
    ) -> Result<PruneResponse> {
        let all = lock(&self.containers).all();
        let mut pruned = PruneResponse::default();
        for container in all {
            let rests = matches!(container.state().phase, Phase::Created | Phase::Exited);
            if !rests || !wanted(&container, filters, until) {
                continue;
            }
            let (images, id) = (self.images.clone(), container.id.clone());
            let bytes = blocking(move || Ok(images.container_size(&id)?))
                .await
                .unwrap_or(0);
            match self.remove(&container.id, RemoveOptions::default()).await {
                Ok(()) => {
                    let deleted = pruned.containers_deleted.get_or_insert_default();
                    deleted.push(container.id.clone());
                    pruned.space_reclaimed += bytes;
                }
                // Somebody started it, or was quicker; as Docker, that keeps no other one.
                Err(error) => {
                    tracing::warn!(container = %container.id, %error, "not pruned");
                }
            }
        }
        let reclaimed = pruned.space_reclaimed.to_string();
        let attributes = [("reclaimed".to_owned(), reclaimed)].into();
        self.events.tell("container", "prune", "", attributes);
        Ok(pruned)
    }
}

fn wanted(container: &Container, filters: &Filters, until: Option<i64>) -> bool {
    container.with_record(|r| {
        until.is_none_or(|until| clock::unix(&r.created) < until.div_euclid(1_000_000_000))
            && list::labels_pass(&r.config.labels, filters)
    })
}
