//! The daemon's connections.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use serde::Serialize;

use crate::message::{Inbox, Operation, Request, encode, short};
use crate::poll::Ready;

/// Where the daemon connects. As long as it lives nobody else listens there.
pub struct Listener {
    /// The socket.
    pub socket: UnixListener,
    path: PathBuf,
    _lock: fs::File,
}

impl Listener {
    /// Listens at `path`, in the place of a process that is gone.
    ///
    /// # Errors
    /// `AddrInUse` when another process serves there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = fs::File::create(&name)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("another process listens at {}", path.display()),
            ),
            other => other.into(),
        })?;
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let (_dir, by_fd) = short(path)?;
        let socket = UnixListener::bind(by_fd)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// A connection, if one is there and comes from our own user.
    #[must_use]
    pub fn accept(&self) -> Option<Control> {
        let (stream, _) = self.socket.accept().ok()?;
        let peer = socket_peercred(&stream).ok()?;
        let fine = peer.uid == geteuid() || peer.uid.is_root();
        (fine && stream.set_nonblocking(true).is_ok()).then(|| Control {
            stream,
            inbox: Inbox::default(),
            output: Vec::new(),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A request and what came with it, or why it is refused.
pub type Asked<O> = Result<(O, Vec<OwnedFd>), String>;

/// A connection of the daemon's.
pub struct Control {
    stream: UnixStream,
    inbox: Inbox,
    output: Vec<u8>,
}

impl Control {
    /// Reads what is there; false at its end.
    ///
    /// # Errors
    /// When it is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            let mut fds = Vec::new();
            match sys::scm::recv_with_fds(&self.stream, buffer, &mut fds) {
                Ok(0) => return Ok(false),
                Ok(len) => self.inbox.push(&buffer[..len], fds),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(e) => return Err(e),
            }
        }
    }

    /// The next request. One of a newer version than ours is refused.
    ///
    /// # Errors
    /// When it is none: then nothing that follows can be understood.
    pub fn next_request<O: Operation>(&mut self) -> io::Result<Option<Asked<O>>> {
        let Some(request) = self.inbox.next::<Request<O>>()? else {
            return Ok(None);
        };
        if request.version > O::VERSION {
            let reason = format!("version {} is newer than {}", request.version, O::VERSION);
            return Ok(Some(Err(reason)));
        }
        let fds = self.inbox.take(request.op.descriptors())?;
        Ok(Some(Ok((request.op, fds))))
    }

    /// Replies. Descriptors go at once: whoever asks for them waits for nothing else.
    ///
    /// # Errors
    /// When it is broken.
    pub fn say(&mut self, reply: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = encode(reply)?;
        if fds.is_empty() {
            self.output.extend(bytes);
            return self.write();
        }
        sys::scm::send_with_fds(&self.stream, &bytes, fds)
    }

    /// Sends as much as is taken.
    ///
    /// # Errors
    /// When it is broken.
    pub fn write(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.output.len() {
            match self.stream.write(&self.output[sent..]) {
                Ok(len) => sent += len,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.output.drain(..sent);
        Ok(())
    }

    /// What to wait for.
    #[must_use]
    pub fn wants(&self) -> Ready {
        let mut wants = Ready::IN;
        wants.set(Ready::OUT, !self.output.is_empty());
        wants
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
