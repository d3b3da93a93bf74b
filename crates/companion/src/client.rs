//! A daemon's connection to a program.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::message::{Inbox, Operation, Request, encode, short};

/// A program that takes longer than that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a program could not be told something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or has gone: it is to be started again, and told everything.
    #[error("the process cannot be reached")]
    Gone(#[source] io::Error),
    /// It refuses.
    #[error("the process refuses: {0}")]
    Refused(String),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Gone(error) => error,
            refused @ Error::Refused(_) => Self::other(refused),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    inbox: Inbox,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        let (_dir, path) = short(path)?;
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            inbox: Inbox::default(),
        })
    }

    /// The process that listens, as the kernel names it.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn process(&self) -> Result<u32, Error> {
        let peer = rustix::net::sockopt::socket_peercred(&self.stream).map_err(io::Error::from)?;
        Ok(peer.pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// Asks, and waits for the reply.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn ask<O: Operation, R: DeserializeOwned>(
        &mut self,
        op: O,
        fds: &[BorrowedFd<'_>],
    ) -> Result<R, Error> {
        let version = O::VERSION;
        let bytes = encode(&Request { version, op })?;
        sys::scm::send_with_fds(&self.stream, &bytes, fds)?;
        let mut buf = vec![0; 16_384];
        loop {
            if let Some(reply) = self.inbox.next()? {
                return Ok(reply);
            }
            let mut fds = Vec::new();
            let len = sys::scm::recv_with_fds(&self.stream, &mut buf, &mut fds)?;
            if len == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.inbox.push(&buf[..len], fds);
        }
    }

    /// The descriptors that came with the last reply.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn take(&mut self, count: usize) -> Result<Vec<OwnedFd>, Error> {
        Ok(self.inbox.take(count)?)
    }
}
