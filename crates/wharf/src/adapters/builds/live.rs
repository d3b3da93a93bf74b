//! A build that our own client watches over its connection.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::backend::{Attachment, Output};
use builder::{Error, Listener, Result};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use image::CancellationToken;
use tokio::sync::mpsc::{self, error::TrySendError};
use types::{
    build::{BuildEvent, Built},
    options::StdStream,
};

use super::agents::Agents;

/// Pieces that wait for a client.
const WAITING: usize = 256;
/// How long until it is looked again whether a slow client has taken some.
const PAUSE: Duration = Duration::from_millis(2);

/// One piece on its way to the client.
pub(super) type Piece = (StdStream, Bytes);

/// Sends from threads, which wait where the client is slow.
pub(super) struct Sender<T> {
    sender: mpsc::Sender<T>,
    /// When it is cancelled, nobody waits for a slow client any more.
    cancel: CancellationToken,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            cancel: self.cancel.clone(),
        }
    }
}

impl<T> Sender<T> {
    pub(super) fn new(cancel: CancellationToken) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, cancel }, receiver)
    }

    /// False where nobody listens any more.
    pub(super) fn send(&self, mut piece: T) -> bool {
        // Not by blocking: an event may come from within a task that is waited for in this thread.
        loop {
            match self.sender.try_send(piece) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(_)) if self.cancel.is_cancelled() => return false,
                Err(TrySendError::Full(back)) => piece = back,
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A build's client.
pub(super) struct Live {
    sender: Mutex<Option<Sender<Piece>>>,
    agents: Agents,
}

/// A client to be told of a build, and the connection that goes to it; when that is dropped, `cancel`
/// is cancelled, and `named` let go.
pub(super) fn connect(
    cancel: CancellationToken,
    named: Arc<super::Named>,
) -> (Arc<Live>, Attachment) {
    let (sender, receiver) = Sender::new(cancel.clone());
    let agents = Agents::new(sender.clone());
    let input = agents.input();
    let live = Arc::new(Live {
        sender: Mutex::new(Some(sender)),
        agents,
    });
    let guard = (cancel.drop_guard(), named);
    let chunks = stream::unfold((receiver, guard), |(mut receiver, guard)| async {
        let piece = receiver.recv().await?;
        Some((Ok(piece), (receiver, guard)))
    });
    let attachment = Attachment {
        output: Output {
            tty: false,
            chunks: chunks.boxed(),
        },
        input: Some(Box::pin(input)),
        detached: Box::new(|| ()),
    };
    (live, attachment)
}

/// An event as a line.
pub(super) fn line(event: &BuildEvent) -> Piece {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    (StdStream::Out, Bytes::from(line))
}

impl Live {
    fn sender(&self) -> Option<Sender<Piece>> {
        self.sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Tells how it ended, and ends the connection.
    pub(super) fn end(&self, done: Result<Built>) {
        self.event(match done {
            Ok(built) => BuildEvent::Built(built),
            Err(error) => BuildEvent::Error(error.to_string()),
        });
        self.agents.end();
        self.sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

impl Listener for Live {
    fn event(&self, event: BuildEvent) {
        if let Some(sender) = self.sender() {
            // Where the client is gone, the build is cancelled by that.
            let _ = sender.send(line(&event));
        }
    }

    fn agent(&self, name: &str, stream: std::os::unix::net::UnixStream) {
        self.agents.serve(name, stream);
    }

    fn archive(&self) -> Result<Box<dyn io::Write + Send>> {
        let sender = self.sender().ok_or(Error::Cancelled)?;
        Ok(Box::new(Archive(sender)))
    }
}

/// The bytes of an archive for the client.
struct Archive(Sender<Piece>);

impl io::Write for Archive {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(64 << 10)];
        if self.0.send((StdStream::Err, Bytes::copy_from_slice(part))) {
            return Ok(part.len());
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
