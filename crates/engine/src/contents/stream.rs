//! Bytes that a thread writes and a client reads, with a bound on what waits between them.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
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
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The writing end. It ends with [`Sink::end`]; dropped before, the client sees an error.
pub struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
    /// Where waiting is done and for how long, if not for ever.
    patient: Option<(Handle, Duration)>,
    /// It was all.
    whole: Arc<AtomicBool>,
}

/// A sink, and what comes out of it.
#[must_use]
pub fn pipe() -> (Sink, Chunks) {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let whole = Arc::new(AtomicBool::new(false));
    let sink = Sink {
        sender,
        buffer: BytesMut::with_capacity(CHUNK),
        patient: None,
        whole: Arc::clone(&whole),
    };
    let chunks = futures_util::stream::poll_fn(move |cx| match receiver.poll_recv(cx) {
        // Said once.
        Poll::Ready(None) if !whole.swap(true, Ordering::Relaxed) => {
            let error = "it was not sent to its end: the client took nothing for too long";
            Poll::Ready(Some(Err(io::Error::other(error))))
        }
        other => other,
    });
    (sink, chunks.boxed())
}

impl Sink {
    /// Resolves when the client is gone.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Gives up on a client that takes nothing for so long: somebody else waits for the container.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        self.patient = Some((Handle::current(), patience));
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
            Some((runtime, patience)) => {
                let sent = self.sender.send_timeout(Ok(full.freeze()), *patience);
                runtime.block_on(sent).map_err(|_| gone())
            }
        }
    }

    /// Tells the client that it is all, or what went wrong.
    pub fn end(mut self, done: io::Result<()>) {
        match done {
            Ok(()) => {
                if self.buffer.is_empty() || self.send().is_ok() {
                    self.whole.store(true, Ordering::Relaxed);
                }
            }
            // The client may be gone, or was waited for long enough: it learns of an error anyway.
            Err(e) if self.patient.is_some() => _ = self.sender.try_send(Err(e)),
            Err(e) => _ = self.sender.blocking_send(Err(e)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn who_takes_nothing_is_given_up_and_told() {
        let (sink, mut chunks) = pipe();
        let mut sink = sink.with_patience(Duration::from_millis(20));
        let writing = tokio::task::spawn_blocking(move || {
            let done = sink.write_all(&vec![0; (WAITING + 2) * CHUNK]);
            let kind = done.as_ref().map_err(io::Error::kind).copied();
            sink.end(done);
            kind
        });
        assert_eq!(writing.await.unwrap(), Err(io::ErrorKind::BrokenPipe));
        for _ in 0..WAITING {
            assert_eq!(chunks.next().await.unwrap().unwrap().len(), CHUNK);
        }
        assert!(chunks.next().await.unwrap().is_err());
        assert!(chunks.next().await.is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_end_comes_once_and_only_when_it_is_whole() {
        let (mut sink, mut chunks) = pipe();
        sink.write_all(b"all").unwrap();
        tokio::task::spawn_blocking(move || sink.end(Ok(())))
            .await
            .unwrap();
        assert_eq!(chunks.next().await.unwrap().unwrap(), "all");
        assert!(chunks.next().await.is_none());
        let (sink, mut chunks) = pipe();
        drop(sink);
        assert!(chunks.next().await.unwrap().is_err());
    }
}
