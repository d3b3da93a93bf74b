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

use crate::poll::Ready;
use crate::protocol::{Inbox, Op, Reply, Request, VERSION, encode, short};

/// Where the daemon connects. As long as it lives nobody else listens there.
pub(crate) struct Listener {
    pub(crate) socket: UnixListener,
    path: PathBuf,
    _lock: fs::File,
}

impl Listener {
    /// Listens at `path`, in the place of a process that is gone.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = fs::File::create(&name)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("another name server listens at {}", path.display()),
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
    pub(crate) fn accept(&self) -> Option<Control> {
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

/// A request and what came with it, or why it is none.
pub(crate) type Asked = Result<(Op, Vec<OwnedFd>), Box<Reply>>;

/// A connection of the daemon's.
pub(crate) struct Control {
    pub(crate) stream: UnixStream,
    pub(crate) inbox: Inbox,
    output: Vec<u8>,
}

impl Control {
    /// Reads what is there; false at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
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

    /// The next request. One of a newer version than ours is a refusal instead.
    pub(crate) fn next(&mut self) -> io::Result<Option<Asked>> {
        let Some(request) = self.inbox.next::<Request>()? else {
            return Ok(None);
        };
        if request.version > VERSION {
            let reason = format!("version {} is newer than {VERSION}", request.version);
            return Ok(Some(Err(Box::new(Reply::Refused { reason }))));
        }
        let count = match &request.op {
            Op::SetAsker { fds, .. } => fds.len(),
            _ => 0,
        };
        let fds = self.inbox.take(count)?;
        Ok(Some(Ok((request.op, fds))))
    }

    /// Replies. Descriptors go at once: whoever asks for them waits for nothing else.
    pub(crate) fn say(&mut self, reply: &Reply, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = encode(reply)?;
        if fds.is_empty() {
            self.output.extend(bytes);
            return self.write();
        }
        sys::scm::send_with_fds(&self.stream, &bytes, fds)
    }

    /// Sends as much as is taken.
    pub(crate) fn write(&mut self) -> io::Result<()> {
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
    pub(crate) fn wants(&self) -> Ready {
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
