//! Putting on a filter of system calls inside, and handing its listener, if it has one, to whoever
//! decides.
//!
//! The filter may forbid, or ask about, the very calls that would hand the listener over. So that is
//! done by a process that does not have the filter: a child that shares our descriptors and waits for
//! the listener to appear among them.

use std::{
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use rustix::process::{Signal, WaitOptions, set_parent_process_death_signal, waitpid};
use sys::clone::{Clone, Fork, clone, exit_now};

use super::{
    Context, Error, Result,
    hooks::About,
    seccomp::{Filter, Notify},
};

/// Connects to the socket that takes a filter's listener. To be called outside.
pub(crate) fn connect(filter: Option<&Filter>) -> Result<Option<UnixStream>> {
    let Some(notify) = filter.and_then(|f| f.notify.as_ref()) else {
        return Ok(None);
    };
    let path = &notify.listener_path;
    let stream = UnixStream::connect(path)
        .context(|| format!("linux.seccomp.listenerPath: connect to {}", path.display()))?;
    Ok(Some(stream))
}

/// Puts on a filter.
#[derive(Debug)]
pub(crate) struct Installer<'a> {
    filter: &'a Filter,
    listener: Option<(&'a UnixStream, Vec<u8>)>,
}

impl<'a> Installer<'a> {
    pub(crate) fn new(
        filter: &'a Filter,
        stream: Option<&'a UnixStream>,
        about: About<'_>,
    ) -> Self {
        let listener = stream
            .zip(filter.notify.as_ref())
            .map(|(stream, notify)| (stream, state(notify, about).into_bytes()));
        Self { filter, listener }
    }

    /// What must stay open until then.
    pub(crate) fn keep<'b>(&'b self, also: &'b impl AsFd) -> Vec<BorrowedFd<'b>> {
        let stream = self.listener.as_ref().map(|(stream, _)| stream.as_fd());
        std::iter::once(also.as_fd()).chain(stream).collect()
    }

    /// Does it. What comes after is under the filter.
    pub(crate) fn install(&self) -> Result<()> {
        let Some((stream, state)) = &self.listener else {
            return self.put_on().map(drop);
        };
        // The lowest that is free: the next descriptor to be made.
        let number = rustix::io::dup(stream).context(|| "dup")?.as_raw_fd();
        let child = match clone(Clone {
            shares_files: true,
            ..Clone::default()
        })
        .context(|| "make the process that passes on the seccomp listener")?
        {
            Fork::Parent { pid, pidfd } => {
                // It got a number, which may be the one that was foreseen.
                drop(pidfd);
                pid
            }
            Fork::Child => pass_on(stream, state, number),
        };
        let made = self.put_on()?;
        let (_, status) = waitpid(Some(child), WaitOptions::empty())
            .context(|| "wait for the seccomp listener to be passed on")?
            .ok_or_else(|| Error::State("the seccomp listener was not passed on".to_owned()))?;
        drop(made);
        if status.exit_status() == Some(0) {
            Ok(())
        } else {
            Err(Error::State(
                "the seccomp listener was not passed on".to_owned(),
            ))
        }
    }

    fn put_on(&self) -> Result<Option<OwnedFd>> {
        sys::seccomp::install(&self.filter.program, self.filter.flags)
            .context(|| "error loading seccomp filter into kernel")
    }
}

/// The child: it must not drop what it shares.
fn pass_on(stream: &UnixStream, state: &[u8], number: RawFd) -> ! {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    for _ in 0..100_000 {
        if sys::seccomp::is_listener(number) {
            let sent = sys::scm::send_number(stream, state, number);
            exit_now(i32::from(sent.is_err()))
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    exit_now(1)
}

/// The container's process state, of the specification.
fn state(notify: &Notify, about: About<'_>) -> String {
    let mut state = serde_json::json!({
        "ociVersion": about.spec.version(),
        "fds": ["seccompFd"],
        "pid": about.pid,
        "state": {
            "ociVersion": about.spec.version(),
            "id": about.id,
            "status": about.status,
            "pid": about.pid,
            "bundle": about.bundle,
        },
    });
    if let Some(metadata) = &notify.metadata {
        state["metadata"] = metadata.as_str().into();
    }
    if let Some(annotations) = about.spec.annotations() {
        state["state"]["annotations"] = serde_json::json!(annotations);
    }
    state.to_string()
}
