//! Bytes that a thread writes and a client reads, with a bound on what waits between them.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream::BoxStream};
use tokio::sync::mpsc;

/// Bytes as they come.
pub type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// One chunk's length.
const CHUNK: usize = 512 << 10;
/// Chunks that may wait.
const WAITING: usize = 4;

/// The writing end. It ends with [`Sink::end`]; dropped before, the client sees an error.
pub struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
}

/// A sink, and what comes out of it.
#[must_use]
pub fn pipe() -> (Sink, Chunks) {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let sink = Sink {
        sender,
        buffer: BytesMut::with_capacity(CHUNK),
    };
    let chunks = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sink, chunks.boxed())
}

impl Sink {
    fn send(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK));
        self.sender
            .blocking_send(Ok(full.freeze()))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Tells the client that it is all, or what went wrong.
    pub fn end(mut self, done: io::Result<()>) {
        // The client may be gone.
        let _ = match done {
            Ok(()) if self.buffer.is_empty() => Ok(()),
            Ok(()) => self.send(),
            Err(e) => self.sender.blocking_send(Err(e)).map_err(io::Error::other),
        };
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.buffer.len();
        let taken = bytes.len().min(room);
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() >= CHUNK {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.send()
    }
}
