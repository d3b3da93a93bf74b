//! Talking to a shim, blocking. Who does not want to block takes the stream and the decoder out
//! ([`Connection::into_parts`]) and moves the same bytes in his own way: nothing here but
//! [`Frame::encode`] and [`Decoder`] knows their form.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use crate::{
    Error,
    protocol::{BoundTo, Decoder, Frame, MAX_FDS_PER_FRAME, Request, Response, SOCKET, VERSION},
};

/// How long a shim may take to greet. One that is stopped or swapped out should not hold a daemon.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes with which every connection to a shim's socket begins; answered by
/// [`Response::Hello`].
pub fn hello() -> Vec<u8> {
    Frame::Request(Request::Hello { version: VERSION }).to_bytes()
}

/// Connects to the shim of a bundle without a word. Does not wait.
pub fn connect_raw(bundle: &Path) -> Result<UnixStream, Error> {
    let path = bundle.join(SOCKET);
    let connect = || -> io::Result<UnixStream> {
        // A socket's address has room for 107 bytes; a data root may lie deeper than that.
        let dir = File::open(bundle)?;
        UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()))
    };
    connect().map_err(|source| Error::Connect { path, source })
}

/// Connects to the shim of a bundle and greets it.
pub fn connect(bundle: &Path) -> Result<Connection, Error> {
    let stream = connect_raw(bundle)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut connection = Connection::new(stream);
    match connection.request(&Request::Hello { version: VERSION })? {
        Response::Hello { version: VERSION } => {
            connection.stream.set_read_timeout(None)?;
            Ok(connection)
        }
        Response::Hello { version } => Err(Error::Version { theirs: version }),
        other => Err(Error::Unexpected(format!("{other:?}"))),
    }
}

/// The sockets of published ports that the shim of a bundle holds, and its process as the kernel names
/// it.
pub fn ports(bundle: &Path) -> Result<(Vec<OwnedFd>, i32), Error> {
    let mut connection = connect(bundle)?;
    connection.stream.set_read_timeout(Some(PATIENCE))?;
    let peer = rustix::net::sockopt::socket_peercred(&connection.stream);
    let peer = peer.map_err(io::Error::from)?.pid.as_raw_nonzero().get();
    connection.send(&Frame::Request(Request::Ports))?;
    let (mut buf, mut fds) = ([0; 4096], Vec::new());
    loop {
        while let Some(frame) = connection.decoder.next_frame()? {
            match frame {
                Frame::Fds => {}
                Frame::Response(Response::Ports { count }) if count == fds.len() => {
                    return Ok((fds, peer));
                }
                Frame::Response(Response::Error { reason, message }) => {
                    return Err(Error::Refused { reason, message });
                }
                other => return Err(Error::Unexpected(format!("{other:?}"))),
            }
        }
        match sys::scm::recv_with_fds(&connection.stream, &mut buf, &mut fds)? {
            0 => return Err(Error::Gone),
            n => connection.decoder.push(&buf[..n]),
        }
    }
}

/// A connection to a shim.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    /// What came while an answer was waited for.
    early: std::collections::VecDeque<Frame>,
}

impl Connection {
    /// Wraps a connected stream.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
            early: Default::default(),
        }
    }

    /// The stream, for its time limits.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The stream, and a decoder that holds what was read and not yet used. Frames that came while
    /// an answer was waited for must be taken by [`next`](Self::next_frame) before, or are lost;
    /// there are none before `Watch`, `Attach` or `Exec` was asked for.
    pub fn into_parts(self) -> (UnixStream, Decoder) {
        (self.stream, self.decoder)
    }

    /// Sends one frame.
    pub fn send(&mut self, frame: &Frame) -> Result<(), Error> {
        Ok(self.stream.write_all(&frame.to_bytes())?)
    }

    /// The next frame; `None` when the shim closed the connection.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        match self.early.pop_front() {
            Some(frame) => Ok(Some(frame)),
            None => self.read_frame(),
        }
    }

    fn read_frame(&mut self) -> Result<Option<Frame>, Error> {
        let mut buf = [0; 16 << 10];
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            match self.stream.read(&mut buf) {
                Ok(0) => return Ok(None),
                Ok(n) => self.decoder.push(&buf[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Has the shim keep these descriptors while the container lives, and close those of sockets that
    /// are bound to `release`.
    pub fn hold(&mut self, fds: &[OwnedFd], release: Vec<BoundTo>) -> Result<(), Error> {
        for chunk in fds.chunks(MAX_FDS_PER_FRAME) {
            let chunk: Vec<_> = chunk.iter().map(AsFd::as_fd).collect();
            sys::scm::send_with_fds(self.stream.as_fd(), &Frame::Fds.to_bytes(), &chunk)?;
        }
        match self.request(&Request::Hold { release })? {
            Response::Done => Ok(()),
            other => Err(Error::Unexpected(format!("{other:?}"))),
        }
    }

    /// Sends a request and waits for its answer. A refusal is an error; that a start or an exec
    /// failed is an answer.
    pub fn request(&mut self, request: &Request) -> Result<Response, Error> {
        let sent = self
            .stream
            .write_all(&Frame::Request(request.clone()).to_bytes());
        loop {
            match self.read_frame() {
                Ok(Some(Frame::Response(Response::Error { reason, message }))) => {
                    return Err(Error::Refused { reason, message });
                }
                Ok(Some(Frame::Response(response))) => return Ok(response),
                Ok(Some(other)) => self.early.push_back(other),
                // A shim that refused may have closed before everything was sent: its words, if
                // any, say more than the broken pipe.
                Ok(None) => {
                    sent?;
                    return Err(Error::Gone);
                }
                Err(e) => {
                    sent?;
                    return Err(e);
                }
            }
        }
    }
}
