//! Starting a shim.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, Stdio},
    time::Duration,
};

use sys::memfd::Program;

use crate::{
    Error,
    client::Connection,
    protocol::{Frame, Launch, MAX_FDS_PER_FRAME, Request, Response},
};

/// How long a shim may take until its socket is there. It takes a millisecond; a machine that
/// thrashes takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A shim that is ready to start its container.
#[derive(Debug)]
pub struct ShimProcess {
    /// The process. It is this daemon's child and must be waited for when it has ended, or it
    /// stays as a zombie.
    pub child: Child,
    /// A control connection. Until the container was started, the shim ends if this is closed, so
    /// that a daemon that dies half-way leaves nothing.
    pub control: Connection,
}

/// Starts a shim for `launch`; `fds` are those that `launch.fds` describes, in the same order.
/// Returns when its socket takes connections: attach, then [`Request::Start`].
///
/// This blocks for about a millisecond.
pub fn spawn(
    program: &Program,
    launch: &Launch,
    fds: &[BorrowedFd<'_>],
) -> Result<ShimProcess, Error> {
    let failed = |source| Error::Spawn {
        id: launch.id.clone(),
        source,
    };
    if fds.len() != launch.fds.len() {
        return Err(failed(io::Error::other(
            "descriptors and their roles differ in number",
        )));
    }
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut child = Command::new(program.path())
        .arg0("wharf-shim")
        // Only for those who read `ps`.
        .arg(&launch.id)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    match hand_over(ours, launch, fds) {
        Ok(control) => Ok(ShimProcess { child, control }),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(match error {
                Error::Io(source) => failed(source),
                other => other,
            })
        }
    }
}

fn hand_over(
    socket: UnixStream,
    launch: &Launch,
    fds: &[BorrowedFd<'_>],
) -> Result<Connection, Error> {
    socket.set_read_timeout(Some(PATIENCE))?;
    for chunk in fds.chunks(MAX_FDS_PER_FRAME) {
        sys::scm::send_with_fds(socket.as_fd(), &Frame::Fds.to_bytes(), chunk)?;
    }
    let mut control = Connection::new(socket);
    match control.request(&Request::Launch(Box::new(launch.clone())))? {
        Response::Ready { .. } => {
            control.stream().set_read_timeout(None)?;
            Ok(control)
        }
        other => Err(Error::Unexpected(format!("{other:?}"))),
    }
}
