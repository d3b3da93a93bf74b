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
            return self.remove_link(name).await;
        }
        let container = self.find(name)?;
        let op = container.op.lock().await;
        let state = container.state();
        if state.removed {
            return Err(Error::NoSuchContainer(name.into()));
        }
        if state.paused && !options.force {
            return Err(Error::Conflict(format!(
                "cannot remove container \"/{}\": container is paused and must be unpaused first",
                container.name()
            )));
        }
        let alive = state.is_running() || state.phase == Phase::Restarting;
        if alive && !options.force {
            return Err(Error::Conflict(format!(
                "cannot remove container \"/{}\": container is {}: \
                 stop the container before removing or force remove",
                container.name(),
                state.word()
            )));
        }
        container.stops.fetch_add(1, Ordering::Relaxed);
        if state.is_running() {
            container.change_record(|r| r.stopped_by_user = true);
            // With --rm its end removes it; this call is the one that does.
            let _held = container.hold();
            self.kill_and_wait(&container).await?;
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
                self.drop_volume(container, &mount.name).await?;
            }
        }
        sys::failpoint!("engine.remove.volumes");
        self.note_last_name(container).await?;
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
        self.note_image_use(&container.with_record(|r| r.image_id.clone()));
        self.tell(container, "destroy", &[]);
        Ok(())
    }
}
