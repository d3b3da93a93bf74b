//! Letting a container stand still, and go on. The kernel's freezer is the truth: a daemon that
//! starts asks it which containers are paused.

use std::sync::Arc;

use runtime::oci::cgroup::{Cgroup, Driver};

use crate::{
    Engine, blocking,
    container::Container,
    error::{Error, Result},
    state::Phase,
};

impl Engine {
    /// Stops all processes of a container where they are.
    pub async fn pause(&self, name: &str) -> Result<()> {
        let container = self.find(name)?;
        let _op = container.op.lock().await;
        let state = container.state();
        not_restarting(&container)?;
        if !state.is_running() {
            return Err(Error::NotRunning(container.id.clone()));
        }
        if state.paused {
            return Err(Error::Conflict(format!(
                "Container {} is already paused",
                container.id
            )));
        }
        let frozen = self.freeze(&container, true).await;
        sys::failpoint!("engine.pause.frozen");
        if let Err(error) = frozen {
            if container.ends_now(state.exits).await {
                return Err(Error::NotRunning(container.id.clone()));
            }
            return Err(error);
        }
        let paused = container.change_state(|s| {
            s.paused = s.exits == state.exits && s.is_running();
            s.paused
        });
        if !paused {
            return Err(Error::NotRunning(container.id.clone()));
        }
        self.pause_health(&container).await;
        self.tell(&container, "pause", &[]);
        Ok(())
    }

    /// Lets all processes of a container go on.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        let container = self.find(name)?;
        let _op = container.op.lock().await;
        if !container.state().paused {
            return Err(Error::Conflict(format!(
                "Container {} is not paused",
                container.id
            )));
        }
        self.thaw(&container).await
    }

    /// Lets a paused container go on, with what was sent to it meanwhile.
    pub(crate) async fn thaw(&self, container: &Arc<Container>) -> Result<()> {
        let run = container.state().exits;
        container
            .thaws
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let thawed = self.freeze(container, false).await;
        sys::failpoint!("engine.unpause.thawed");
        if let Err(error) = thawed
            && !container.ends_now(run).await
        {
            return Err(error);
        }
        let was = container.change_state(|s| std::mem::take(&mut s.paused));
        if was {
            self.tell(container, "unpause", &[]);
        }
        Ok(())
    }

    /// Whether the kernel lets it stand still.
    pub(crate) async fn is_frozen(&self, container: &Arc<Container>) -> bool {
        let Ok(group) = self.group(container) else {
            return false;
        };
        blocking(move || Ok(group.is_frozen().unwrap_or(false)))
            .await
            .unwrap_or(false)
    }

    async fn freeze(&self, container: &Arc<Container>, on: bool) -> Result<()> {
        let group = self.group(container)?;
        let what = format!(
            "cannot {} container {}",
            if on { "pause" } else { "unpause" },
            container.id
        );
        blocking(move || {
            let done = if on { group.freeze() } else { group.thaw() };
            done.map_err(|e| Error::io(what)(std::io::Error::other(e)))
        })
        .await
    }

    /// The container's cgroup, to look into and to change.
    pub(crate) fn group(&self, container: &Container) -> Result<Cgroup> {
        find_group(&container.with_record(|r| self.cgroup(r)), &container.id)
    }
}

/// The cgroup of container `id`, whose path is `path`.
pub(crate) fn find_group(path: &str, id: &str) -> Result<Cgroup> {
    let what = Error::io(format!("find the cgroup of container {id}"));
    Cgroup::plan(Some(path), id, Driver::Cgroupfs, false)
        .map_err(|e| what(std::io::Error::other(e)))
}

/// What Docker says of one that waits for its restart.
pub(crate) fn not_restarting(container: &Container) -> Result<()> {
    if container.state().phase == Phase::Restarting {
        return Err(Error::Conflict(format!(
            "Container {} is restarting, wait until the container is running",
            container.id
        )));
    }
    Ok(())
}

/// What Docker says of an exec in one that stands still.
pub(crate) fn not_paused(container: &Container) -> Result<()> {
    if container.state().paused {
        return Err(Error::Conflict(format!(
            "Container {} is paused, unpause the container before exec",
            container.id
        )));
    }
    Ok(())
}
