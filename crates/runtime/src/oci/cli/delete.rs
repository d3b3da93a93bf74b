//! `delete`: nothing of the container stays.

use std::time::Duration;

use super::{Global, args::Given, group::Group, id, signal};
use crate::oci::{
    Error, Result,
    hooks::{self, Moment},
    state::{Container, Lock, State, Status},
};

/// How long a process that was killed may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn delete(global: &Global, given: &Given) -> Result<u8> {
    let (id, force) = (id(given)?, given.on("force"));
    let container = match global.store.open(&id) {
        Ok(container) => container,
        Err(_) if force => return Ok(0),
        Err(e) => return Err(e),
    };
    if force {
        // Before the lock: whoever holds it may be waiting for that process.
        let state = container.state().unwrap_or_default();
        if let Some(state) = &state {
            end(state)?;
        }
    }
    let lock = match container.lock() {
        Err(_) if force && global.store.open(&id).is_err() => return Ok(0),
        other => other?,
    };
    if force {
        // Whoever held the lock may have made a process meanwhile.
        if let Some(state) = container.state().unwrap_or_default() {
            end(&state)?;
        }
    } else {
        let state = container.state()?;
        // We hold the lock, so that nobody is making it; and asking about the lock would lose it.
        let status = match &state {
            Some(made) if made.init.is_some() => container.status(Some(made), || false),
            _ => Status::Stopped,
        };
        // As runc: one that was created and never started may go.
        if let Some(state) = state.as_ref().filter(|_| status == Status::Created) {
            end(state)?;
        } else if status == Status::Running {
            return Err(Error::State(format!(
                "cannot delete container {id} that is not stopped: {}",
                status.as_str()
            )));
        }
    }
    clean(&container, lock)?;
    Ok(0)
}

/// Ends the container's first process.
fn end(state: &State) -> Result<()> {
    let Some(init) = state.init.filter(|p| p.is_alive()) else {
        return Ok(());
    };
    match init.kill(signal::KILL) {
        Err(_) if !init.is_alive() => return Ok(()),
        other => other?,
    }
    Group::of(state)?.let_die(signal::KILL)?;
    if init.ends_within(PATIENCE) {
        Ok(())
    } else {
        Err(Error::State(format!(
            "process {} does not end, although it was killed",
            init.pid
        )))
    }
}

/// Removes a stopped container: what still runs in it, its cgroup, then tells the hooks.
pub(super) fn clean(container: &Container, lock: Lock) -> Result<()> {
    let state = match container.state() {
        Ok(state) => state,
        // Unreadable: what it would tell is lost, and the directory must be removable.
        Err(_) => return container.remove(lock),
    };
    let hooks = state.as_ref().map(|s| (s, container.config()));
    let mut problems = Vec::new();
    if let Some(state) = &state {
        problems.extend(Group::of(state).and_then(|g| g.remove()).err());
    }
    if let Some((state, Ok(config))) = hooks
        && state.init.is_some()
    {
        let bundle = state.bundle.display().to_string();
        let about = hooks::About {
            spec: &config.spec,
            id: container.id(),
            bundle: &bundle,
            pid: None,
            status: "stopped",
        };
        problems.extend(hooks::run(about, Moment::Poststop).err());
    }
    // With processes left its directory must stay, or nobody would find them any more.
    if let Some(first) = problems.into_iter().next() {
        if state.as_ref().is_some_and(alive) {
            return Err(first);
        }
        container.remove(lock)?;
        return Err(first);
    }
    container.remove(lock)
}

/// What a start that failed has left: the directory, and if the process came into being (`state`) all
/// that belongs to it. If it did not, its cgroup is gone already, or was never its own.
pub(super) fn remains(container: &Container, lock: Lock, state: Option<&State>) -> Result<()> {
    if let Some(state) = state {
        end(state)?;
        Group::of(state)?.remove()?;
    }
    container.remove(lock)
}

fn alive(state: &State) -> bool {
    Group::of(state)
        .and_then(|g| g.pids())
        .is_ok_and(|pids| !pids.is_empty())
}
