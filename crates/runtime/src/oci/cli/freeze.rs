//! `pause` and `resume`.

use super::{Global, args::Given, group::Group, id, inspect};
use crate::oci::{Error, Result, state::Status};

pub(super) fn pause(global: &Global, given: &Given) -> Result<u8> {
    let container = global.store.open(&id(given)?)?;
    let _lock = container.lock()?;
    let state = container.finished_state()?;
    match inspect::status(&container, &state) {
        Status::Running | Status::Created => {}
        _ => return Err(Error::State("container not running".to_owned())),
    }
    Group::of(&state)?.cgroup()?.freeze()?;
    Ok(0)
}

pub(super) fn resume(global: &Global, given: &Given) -> Result<u8> {
    let container = global.store.open(&id(given)?)?;
    let _lock = container.lock()?;
    let state = container.finished_state()?;
    let group = Group::of(&state)?;
    // One that was created may have been paused, too.
    if !group.is_frozen() {
        return Err(Error::State("container not paused".to_owned()));
    }
    group.cgroup()?.thaw()?;
    Ok(0)
}
