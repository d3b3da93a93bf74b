//! A build as Docker's classic builder tells of it.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use api::backend::{Progress, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use builder::{Error, Listener};
use futures_util::{StreamExt, stream};
use image::CancellationToken;
use tokio::sync::mpsc;
use types::{
    Failure,
    build::{BuildEvent, Built, Status},
    image::{ErrorDetail, ProgressDetail, ProgressLine},
};

use super::live::Sender;

/// Bytes of output that are kept where little is told.
const KEPT: usize = 1 << 20;

/// What comes over the line; an error before anything else is the answer itself.
enum Told {
    Line(Box<ProgressLine>),
    Refused(Failure),
}

/// A build's client.
pub(super) struct Classic {
    sender: Mutex<Option<Sender<Told>>>,
    quiet: bool,
    /// The end of what steps wrote, where it is only told when they fail.
    kept: Mutex<VecDeque<u8>>,
    /// Digests of steps of our own, of which the classic builder says nothing.
    inner: Mutex<HashSet<String>>,
}

/// The lines that go to it.
pub(super) struct Lines {
    receiver: mpsc::Receiver<Told>,
    guard: (tokio_util::sync::DropGuard, Arc<super::Named>),
}

/// A client to be told of a build, and its lines; when those are dropped, `cancel` is cancelled, and
/// `named` let go.
pub(super) fn connect(
    cancel: CancellationToken,
    quiet: bool,
    named: Arc<super::Named>,
) -> (Arc<Classic>, Lines) {
    let (sender, receiver) = Sender::new(cancel.clone());
    let classic = Arc::new(Classic {
        sender: Mutex::new(Some(sender)),
        quiet,
        kept: Mutex::default(),
        inner: Mutex::default(),
    });
    let guard = (cancel.drop_guard(), named);
    (classic, Lines { receiver, guard })
}

impl Lines {
    /// Waits for the first word.
    pub(super) async fn first(self) -> Result<Progress> {
        let Self {
            mut receiver,
            guard,
        } = self;
        let first = match receiver.recv().await {
            Some(Told::Refused(failure)) => return Err(failure),
            Some(Told::Line(line)) => Some(*line),
            None => None,
        };
        let rest = stream::unfold((receiver, guard), |(mut receiver, guard)| async {
            let line = match receiver.recv().await? {
                Told::Line(line) => *line,
                Told::Refused(failure) => error_line(&failure.message, None),
            };
            Some((line, (receiver, guard)))
        });
        Ok(stream::iter(first).chain(rest).boxed())
    }
}

fn error_line(message: &str, code: Option<i64>) -> ProgressLine {
    ProgressLine {
        error_detail: Some(ErrorDetail {
            code: code.map(|c| c.try_into().unwrap_or(1)),
            message: message.to_owned(),
        }),
        error: Some(message.to_owned()),
        ..ProgressLine::default()
    }
}

fn text(text: impl Into<String>) -> ProgressLine {
    ProgressLine {
        stream: Some(text.into()),
        ..ProgressLine::default()
    }
}

impl Classic {
    fn send(&self, told: Told) {
        let sender = self
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(sender) = sender {
            // Where the client is gone, the build is cancelled by that.
            let _ = sender.send(told);
        }
    }

    fn always(&self, line: ProgressLine) {
        self.send(Told::Line(Box::new(line)));
    }

    fn is_inner(&self, vertex: &str) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.contains(vertex)
    }

    fn line(&self, line: ProgressLine) {
        if !self.quiet {
            self.always(line);
        }
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let over = (kept.len() + bytes.len()).saturating_sub(KEPT);
        kept.drain(..over);
        kept.extend(bytes);
    }

    /// Tells what was kept of the steps' output: it says why one failed.
    fn tell_kept(&self) {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        if !kept.is_empty() {
            let bytes: Vec<u8> = kept.into();
            self.always(text(String::from_utf8_lossy(&bytes)));
        }
    }

    /// Tells how it ended, and ends the lines.
    pub(super) fn end(&self, done: builder::Result<Built>) {
        match done {
            Ok(built) => {
                let aux = serde_json::json!({"ID": built.image});
                self.always(ProgressLine {
                    aux: Some(aux),
                    ..ProgressLine::default()
                });
                if self.quiet {
                    self.always(text(format!("{}\n", built.image)));
                } else {
                    let id = built.image.strip_prefix("sha256:").unwrap_or(&built.image);
                    let short = id.get(..12).unwrap_or(id);
                    self.line(text(format!("Successfully built {short}\n")));
                    for name in &built.names {
                        let name = types::reference::Reference::parse(name)
                            .map_or_else(|_| name.clone(), |n| n.familiar());
                        self.line(text(format!("Successfully tagged {name}\n")));
                    }
                }
            }
            Err(Error::Command { command, code, .. }) => {
                self.tell_kept();
                let message = format!("The command '{command}' returned a non-zero code: {code}");
                self.always(error_line(&message, Some(code.into())));
            }
            Err(error) => {
                self.send(Told::Refused(super::failure(error)));
            }
        }
        self.sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// A layer's identifier, and what becomes of it in the words of pulls and pushes.
fn layer_words(status: &Status) -> (String, String) {
    let (id, name) = match status.id.strip_prefix("extracting ") {
        Some(id) => (id, "extracting"),
        None => (status.id.as_str(), status.name.as_str()),
    };
    let words = match (name, status.completed.is_some()) {
        ("downloading", false) => "Downloading",
        ("downloading", true) => "Download complete",
        ("extracting", false) => "Extracting",
        ("extracting", true) => "Pull complete",
        ("pushing", false) => "Pushing",
        ("pushing", true) => "Pushed",
        ("exists", _) => "Already exists",
        ("retrying", _) => "Retrying",
        (other, _) => other,
    };
    (id.to_owned(), words.to_owned())
}

impl Listener for Classic {
    fn event(&self, event: BuildEvent) {
        match event {
            BuildEvent::Log(log) => {
                if let Ok(bytes) = STANDARD.decode(&log.data)
                    && !self.is_inner(&log.vertex)
                {
                    if self.quiet {
                        self.keep(&bytes);
                    } else {
                        self.always(text(String::from_utf8_lossy(&bytes)));
                    }
                }
            }
            BuildEvent::Vertex(vertex) => {
                let own = ["[internal]", "exporting", "importing"];
                if own.iter().any(|own| vertex.name.starts_with(own)) {
                    let inner = self.inner.lock();
                    inner
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(vertex.digest);
                }
            }
            BuildEvent::Status(status) => {
                let amount = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0);
                let (id, words) = layer_words(&status);
                self.line(ProgressLine {
                    id: Some(id),
                    status: Some(words),
                    detail: Some(ProgressDetail {
                        current: amount(status.current),
                        total: amount(status.total),
                    }),
                    ..ProgressLine::default()
                });
            }
            BuildEvent::Warning(_)
            | BuildEvent::Agent(_)
            | BuildEvent::Built(_)
            | BuildEvent::Cache(_)
            | BuildEvent::Error(_) => {}
        }
    }

    fn instruction(&self, number: usize, total: usize, source: &str) {
        self.line(text(format!("Step {number}/{total} : {source}\n")));
    }

    fn done(&self, result: &str, cached: bool) {
        if cached {
            self.line(text(" ---> Using cache\n"));
        }
        let hex = result.strip_prefix("sha256:").unwrap_or(result);
        self.line(text(format!(" ---> {}\n", hex.get(..12).unwrap_or(hex))));
    }
}
