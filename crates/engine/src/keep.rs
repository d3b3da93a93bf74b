//! Putting on disk what becomes of a container.

use std::sync::Arc;

use crate::{
    Engine,
    container::Container,
    error::Result,
    record::{LastRun, Record},
    records::Table,
};

impl Engine {
    /// Puts on record that it ran, so that a reboot does not make it look new. Not waited for: a
    /// crash now finds its process, or its exit.
    pub(crate) fn note_started(self: &Arc<Self>, container: &Arc<Container>) {
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        let last = container.state().last;
        if container.with_record(|r| r.host_config.auto_remove) {
            return;
        }
        tokio::spawn(async move { engine.keep_last(&container, last).await });
    }

    /// Changes a container's definition, here and on disk. What comes later is there in the end,
    /// and one that was removed does not come back.
    pub(crate) async fn save(
        &self,
        container: &Container,
        change: impl FnOnce(&mut Record),
    ) -> Result<()> {
        let forgotten = container.forgotten.lock().await;
        let record = container.change_record(change);
        if *forgotten {
            return Ok(());
        }
        self.records
            .put(Table::Containers, &container.id, &record)
            .await
    }

    /// Puts what became of the last run on record, unless something newer is there; says whether
    /// that could be done.
    pub(crate) async fn keep_last(&self, container: &Container, last: LastRun) -> bool {
        let kept = self.save(container, |r| {
            let newer = r.last.as_ref().is_some_and(|have| {
                have.started_at == last.started_at && have.finished_at > last.finished_at
            });
            if !newer {
                r.last = Some(last);
            }
        });
        let kept = kept.await;
        if let Err(error) = &kept {
            tracing::error!(container = %container.id, %error, "the container's state is not on record");
        }
        kept.is_ok()
    }
}
