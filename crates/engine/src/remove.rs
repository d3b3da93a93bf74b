//! Removing a container and what belongs to it alone.

use std::sync::{Arc, atomic::Ordering};

use types::options::RemoveOptions;

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    records::Table,
    state::Phase,
    sync::lock,
};

impl Engine {
    /// Removes a container.
    pub async fn remove(self: &Arc<Self>, name: &str, options: RemoveOptions) -> Result<()> {
        if options.link {
            return Err(Error::NotSupported(
                "links are not supported by wharf yet".into(),
            ));
        }
        let container = self.find(name)?;
        let op = container.op.lock().await;
        let state = container.state();
        if state.removed {
            return Err(Error::NoSuchContainer(name.into()));
        }
        if state.is_running() && !options.force {
            return Err(Error::Conflict(format!(
                "cannot remove container \"/{}\": container is running: \
                 stop the container before removing or force remove",
                container.name()
            )));
        }
        container.stops.fetch_add(1, Ordering::Relaxed);
        if state.is_running() {
            container.change_record(|r| r.stopped_by_user = true);
            // With --rm its end removes it; this call is the one that does.
            container.held.store(true, Ordering::Relaxed);
            let ended = self.kill_and_wait(&container).await;
            container.held.store(false, Ordering::Relaxed);
            ended?;
        }
        // What `--rm` promises holds whoever removes it.
        let volumes = options.volumes || container.with_record(|r| r.host_config.auto_remove);
        let removed = self.remove_locked(&container, volumes).await;
        drop(op);
        removed
    }

    /// Removes a container that ended by itself and was to go then.
    pub(crate) async fn remove_ended(self: &Arc<Self>, container: &Arc<Container>) {
        let _op = container.op.lock().await;
        if container.state().removed || container.state().is_running() {
            return;
        }
        let removed = self.remove_locked(container, true).await;
        crate::end::log_failure(container, "the container stays", removed);
    }

    /// Volumes first, then the record, then the rest: a crash in between leaves a container that
    /// can be removed again, or layers that the next start finds unused.
    async fn remove_locked(&self, container: &Arc<Container>, volumes: bool) -> Result<()> {
        container.change_state(|s| s.phase = Phase::Removing);
        container.drop_waiting();
        if volumes {
            let mounts = container.with_record(|r| r.mounts.clone());
            for mount in mounts.iter().filter(|m| m.anonymous) {
                self.volumes.remove(&mount.name).await?;
                let attributes = [("driver".to_owned(), "local".to_owned())].into();
                self.events
                    .tell("volume", "destroy", &mount.name, attributes);
            }
        }
        sys::failpoint!("engine.remove.volumes");
        let mut forgotten = container.forgotten.lock().await;
        self.records
            .remove(Table::Containers, &container.id)
            .await?;
        *forgotten = true;
        drop(forgotten);
        sys::failpoint!("engine.remove.recorded");
        self.forget_execs(container);
        self.forget_files(container).await;
        lock(&self.containers).remove(container);
        container.change_state(|s| s.removed = true);
        self.tell(container, "destroy", &[]);
        Ok(())
    }
}
