//! One connection to the shim: what it has asked for, and what still has to be sent to it.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use runtime::protocol::{
    Decoder, ErrorReason, Event, Frame, MAX_FDS_PER_FRAME, Response, encode_data,
};
use rustix::io::Errno;

/// When this much waits for a client, the stream it comes from is not read any further: a slow
/// client slows the container down and loses nothing.
pub(crate) const BACKLOG: usize = 1 << 20;

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nobody has greeted yet.
    Fresh,
    /// Requests and answers.
    Control,
    /// Input and output of a process: the container (0) or an exec.
    Stream {
        process: u64,
        stdin: bool,
        wants: [bool; 2],
    },
}

/// A connection.
pub(crate) struct Conn {
    stream: UnixStream,
    pub(crate) decoder: Decoder,
    /// Descriptors that came for the next request.
    pub(crate) fds: Vec<OwnedFd>,
    out: Vec<u8>,
    /// What of `out` was sent.
    at: usize,
    pub(crate) mode: Mode,
    /// It asked something that is not answered yet; its next frames wait.
    pub(crate) waiting: bool,
    /// It wants to hear of events.
    pub(crate) watch: bool,
    /// The other side will send no more.
    pub(crate) eof: bool,
    /// To be closed as soon as everything is sent.
    pub(crate) closing: bool,
    /// Gone.
    pub(crate) dead: bool,
    /// Nobody receives any more; what was sent before may still have to be read.
    deaf: bool,
    /// The connection the shim was born with.
    pub(crate) born: bool,
}

impl Conn {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            decoder: Decoder::default(),
            fds: Vec::new(),
            out: Vec::new(),
            at: 0,
            mode: Mode::Fresh,
            waiting: false,
            watch: false,
            eof: false,
            closing: false,
            dead: false,
            deaf: false,
            born: false,
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// How much is still to be sent.
    pub(crate) fn backlog(&self) -> usize {
        self.out.len() - self.at
    }

    /// Does this connection take what `process` writes to `stream` (0 output, 1 error)?
    pub(crate) fn takes(&self, of: u64, stream: usize) -> bool {
        // What is sent before the answer to the request would be out of order.
        !self.dead
            && !self.deaf
            && !self.waiting
            && matches!(self.mode, Mode::Stream { process, wants, .. }
                if process == of && wants[stream])
    }

    /// Reads what is there, at most once around `scratch`.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) {
        match sys::scm::recv_with_fds(&self.stream, scratch, &mut self.fds) {
            Ok(0) => self.eof = true,
            Ok(n) => self.decoder.push(&scratch[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.dead = true,
        }
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        if !self.dead && !self.deaf {
            frame.encode(&mut self.out);
            self.flush();
        }
    }

    /// Sends what a process wrote.
    pub(crate) fn send_data(&mut self, stderr: bool, bytes: &[u8]) {
        encode_data(stderr, bytes, &mut self.out);
        self.flush();
    }

    /// Sends descriptors, at once or not at all: whoever asks for them has read everything.
    pub(crate) fn pass(&mut self, fds: &[&OwnedFd]) -> io::Result<()> {
        if self.backlog() > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for chunk in fds.chunks(MAX_FDS_PER_FRAME) {
            let chunk: Vec<_> = chunk.iter().map(AsFd::as_fd).collect();
            sys::scm::send_with_fds(&self.stream, &Frame::Fds.to_bytes(), &chunk)?;
        }
        Ok(())
    }

    pub(crate) fn answer(&mut self, response: Response) {
        self.waiting = false;
        self.send(&Frame::Response(response));
    }

    pub(crate) fn refuse(&mut self, reason: ErrorReason, message: impl Into<String>) {
        self.answer(Response::Error {
            reason,
            message: message.into(),
        });
    }

    pub(crate) fn tell(&mut self, event: &Event) {
        self.send(&Frame::Event(event.clone()));
        // Events are few and small. Who does not read them for so long has stopped.
        if matches!(self.mode, Mode::Control) && self.backlog() > BACKLOG {
            self.dead = true;
        }
    }

    /// Sends as much as the other side takes.
    pub(crate) fn flush(&mut self) {
        while self.at < self.out.len() {
            match rustix::io::write(&self.stream, &self.out[self.at..]) {
                Ok(n) => self.at += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // Moving the rest to the front each time would be quadratic.
                    if self.at >= 256 << 10 {
                        self.out.drain(..self.at);
                        self.at = 0;
                    }
                    return;
                }
                Err(_) => {
                    self.deaf = true;
                    break;
                }
            }
        }
        self.at = 0;
        self.out = Vec::new();
        if self.closing {
            self.dead = true;
        }
    }

    /// Closes once everything is sent.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        if self.backlog() == 0 {
            self.dead = true;
        }
    }
}
