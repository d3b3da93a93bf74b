//! Where a container that was created waits until it is started: a socket in its state directory.
//!
//! In place of runc's named pipe, since a connection carries an answer: whoever starts the container
//! learns whether its program began, and why not. The container's process waits with the listening
//! socket itself, and no path is looked up inside.

use std::{
    fs::File,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::Mode,
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
        socket_with,
    },
    process::umask,
};

use super::sync::{End, Note};
use crate::oci::{Context, Error, Result};

/// The socket's name in the state directory.
const NAME: &str = "start.sock";

/// The inner side.
#[derive(Debug)]
pub struct Gate(OwnedFd);

/// An address below an open directory: the path of a state directory may be longer than one may be.
fn address(directory: &File) -> Result<SocketAddrUnix> {
    let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd());
    SocketAddrUnix::new(path).context(|| "address of the start's socket")
}

fn socket() -> Result<OwnedFd> {
    socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .context(|| "socket")
}

impl Gate {
    /// Makes the gate in a state directory that nobody else may enter.
    pub fn new(directory: &Path) -> Result<Self> {
        let about = || format!("listen in {}", directory.display());
        let opened = File::open(directory).context(about)?;
        let socket = socket()?;
        let before = umask(Mode::from_raw_mode(0o177));
        let bound = bind(&socket, &address(&opened)?);
        umask(before);
        bound.context(about)?;
        listen(&socket, 1).context(about)?;
        Ok(Self(socket))
    }

    /// Waits until somebody starts the container.
    pub(super) fn wait(&self) -> Result<End> {
        loop {
            match accept_with(&self.0, SocketFlags::CLOEXEC) {
                Ok(fd) => return Ok(End::from_fd(fd)),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(e) => return Err(e).context(|| "wait for the start"),
            }
        }
    }
}

/// Starts the container that waits at the gate in `directory`; returns when its program has begun.
pub fn open(directory: &Path) -> Result<()> {
    let opened =
        File::open(directory).context(|| format!("open the state {}", directory.display()))?;
    let socket = socket()?;
    match connect(&socket, &address(&opened)?) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::CONNREFUSED) => {
            return Err(Error::State(
                "cannot start a container that has stopped or was started already".to_owned(),
            ));
        }
        Err(e) => return Err(e).context(|| "reach the container's process"),
    }
    // Only one start comes through.
    let _ = std::fs::remove_file(directory.join(NAME));
    let end = End::from_fd(socket);
    match end.receive()? {
        Some(Note::Done) => {}
        Some(note) => return Err(Error::State(format!("{note:?} came at the start"))),
        None => return Err(Error::State("the container has stopped".to_owned())),
    }
    match end.receive()? {
        None => Ok(()),
        Some(note) => Err(Error::State(format!("{note:?} came at the start"))),
    }
}

/// Does a container wait at the gate in `directory`?
pub fn waits(directory: &Path) -> bool {
    directory.join(NAME).exists()
}
