//! Bytes that a thread writes and a client reads, with a bound on what waits between them.

use std::{
    io::{self, Write},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream::BoxStream};
use tokio::{runtime::Handle, sync::mpsc};

/// Bytes as they come.
pub type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// One chunk's length.
const CHUNK: usize = 512 << 10;
/// Chunks that may wait.
const WAITING: usize = 4;

/// How long a client may take nothing while a container that does not run is kept for it, and
/// cannot be started.
const PATIENCE: Duration = Duration::from_secs(300);

/// The writing end. It ends with [`Sink::end`]; dropped before, the client sees an error.
pub struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
    /// Where waiting is done, if not for ever.
    patient: Option<Handle>,
}

/// A sink, and what comes out of it.
#[must_use]
pub fn pipe() -> (Sink, Chunks) {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let sink = Sink {
        sender,
        buffer: BytesMut::with_capacity(CHUNK),
        patient: None,
    };
    let chunks = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sink, chunks.boxed())
}

impl Sink {
    /// Gives up on a client that takes nothing for minutes: somebody else waits for the container.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn with_patience(mut self) -> Self {
        self.patient = Some(Handle::current());
        self
    }

    fn send(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK));
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        match &self.patient {
            None => self
                .sender
                .blocking_send(Ok(full.freeze()))
                .map_err(|_| gone()),
            Some(runtime) => {
                let sent = self.sender.send_timeout(Ok(full.freeze()), PATIENCE);
                runtime.block_on(sent).map_err(|_| gone())
            }
        }
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
