//! `kill`: a signal for the container.

use std::os::fd::AsFd;

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{Global, args::Given, group::Group, id, signal};
use crate::oci::{Context, Error, Result, state::Status};

pub(super) fn kill(global: &Global, given: &Given) -> Result<u8> {
    let container = global.store.open(&id(given)?)?;
    let words = given.words(1).map_err(Error::State)?;
    let name = words.first().map_or("SIGTERM", String::as_str);
    let signal =
        signal::parse(name).ok_or_else(|| Error::State(format!("unknown signal {name:?}")))?;
    let state = container.state()?;
    let status = container.status(state.as_ref(), || false);
    let Some(state) = state else {
        return Err(Error::State("container not running".to_owned()));
    };
    let group = Group::of(&state)?;
    if given.on("all") {
        // Those that stayed behind when the first one ended, too.
        for pid in group.pids()? {
            send(pid, signal)?;
        }
        group.let_die(signal)?;
        return Ok(0);
    }
    match state.init.filter(|_| status != Status::Stopped) {
        Some(init) => init.kill(signal)?,
        None => return Err(Error::State("container not running".to_owned())),
    }
    group.let_die(signal)?;
    Ok(0)
}

/// Sends a signal to one of the container's processes, which may be gone already.
fn send(pid: i32, signal: i32) -> Result<()> {
    let Some(number) = Pid::from_raw(pid) else {
        return Ok(());
    };
    let fd = match pidfd_open(number, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        other => other.context(|| format!("open process {pid}"))?,
    };
    match sys::pidfd::send_signal(fd.as_fd(), signal) {
        Err(e) if e.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(()),
        other => other.context(|| format!("send signal {signal} to process {pid}")),
    }
}
