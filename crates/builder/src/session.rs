//! The client's end of one build: what it is told, and what it may be asked.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{CancellationToken, Digest, Progress};
use types::{
    build::{BuildEvent, BuildLog, Vertex},
    options::StdStream,
};

use crate::{
    error::{Error, Result},
    transfers::Transfers,
};

/// Whoever is told how a build goes.
pub trait Listener: Send + Sync {
    /// A step began, wrote something or ended.
    fn event(&self, event: BuildEvent);

    /// An instruction of the file is worked on: its number, how many there are, its text. Only told
    /// in a build that does one thing after the other.
    fn instruction(&self, _number: usize, _total: usize, _source: &str) {}

    /// That instruction is done: what stands for the result, and whether it came from the cache.
    fn done(&self, _result: &str, _cached: bool) {}

    /// Serves a connection of a step to the client's agent of that name until it ends.
    fn agent(&self, _name: &str, _stream: std::os::unix::net::UnixStream) {}

    /// Where an archive for the client goes.
    ///
    /// # Errors
    /// When this client takes none.
    fn archive(&self) -> Result<Box<dyn Write + Send>> {
        Err(Error::invalid("this client cannot take an archive"))
    }
}

/// One build's connection to its client.
pub(crate) struct Session {
    pub listener: Arc<dyn Listener>,
    pub cancel: CancellationToken,
    steps: AtomicUsize,
}

impl Session {
    pub(crate) fn new(listener: Arc<dyn Listener>, cancel: CancellationToken) -> Self {
        Self {
            listener,
            cancel,
            steps: AtomicUsize::new(0),
        }
    }

    /// Ends the build where the client wants it ended.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    /// Tells of a step that begins now.
    pub(crate) fn begin(&self, name: impl Into<String>) -> Running<'_> {
        let number = self.steps.fetch_add(1, Ordering::Relaxed);
        let name = name.into();
        let vertex = Vertex {
            digest: Digest::of(format!("{number} {name}").as_bytes()).to_string(),
            name,
            started: Some(now()),
            ..Vertex::default()
        };
        self.listener.event(BuildEvent::Vertex(vertex.clone()));
        Running {
            session: self,
            vertex,
            transfers: Transfers::default(),
            over: false,
        }
    }

    /// Does one step: tells of its beginning and its end, however it ends.
    pub(crate) fn step<T>(
        &self,
        name: impl Into<String>,
        work: impl FnOnce(&Running<'_>) -> Result<T>,
    ) -> Result<T> {
        let running = self.begin(name);
        let done = work(&running);
        match &done {
            Ok(_) => running.end(false, String::new()),
            Err(error) => running.end(false, error.to_string()),
        }
        done
    }
}

/// A step that goes on.
pub(crate) struct Running<'s> {
    session: &'s Session,
    vertex: Vertex,
    transfers: Transfers,
    over: bool,
}

impl Running<'_> {
    /// What the step wrote.
    pub(crate) fn log(&self, stream: StdStream, bytes: &[u8]) {
        self.session.listener.event(BuildEvent::Log(BuildLog {
            vertex: self.vertex.digest.clone(),
            stream: if stream == StdStream::Err { 2 } else { 1 },
            data: STANDARD.encode(bytes),
            timestamp: now(),
        }));
    }

    /// How far a layer is.
    pub(crate) fn layer(&self, progress: &Progress) {
        if let Some(status) = self.transfers.told(&self.vertex.digest, progress) {
            self.session.listener.event(BuildEvent::Status(status));
        }
    }

    /// Tells that it is over.
    pub(crate) fn end(mut self, cached: bool, error: String) {
        self.over = true;
        let mut vertex = self.vertex.clone();
        vertex.completed = Some(now());
        vertex.cached = cached;
        vertex.error = error;
        self.session.listener.event(BuildEvent::Vertex(vertex));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.over {
            let mut vertex = self.vertex.clone();
            vertex.completed = Some(now());
            vertex.error = "interrupted".to_owned();
            self.session.listener.event(BuildEvent::Vertex(vertex));
        }
    }
}

/// This moment, RFC 3339.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().to_string()
}
