//! The files of a build, on their way to the daemon.
//!
//! A context is a list of paths with digests, and contents by their digests. The daemon is told what
//! changed since the last list that it answered for, and answers which contents it lacks; only these
//! travel.

pub(crate) mod archive;
mod file;
mod hash;
mod ignore;
mod memory;
mod picture;
mod scan;
mod send;
mod store;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use types::build::{BuildEvent, Status, Vertex};

pub(crate) use ignore::Ignore;
use picture::Picture;
use send::{Sent, Transfer};
use store::Place;

use crate::{
    client::Client,
    error::{Error, Result},
    progress::build::Board,
};

/// How often a context that changes under our hands is read again.
const TRIES: u32 = 5;
/// How often the progress of a transfer is shown.
const EVERY: Duration = Duration::from_millis(100);

/// A directory whose files are given to a build.
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) ignore: Ignore,
    /// Tells its memory apart from that of other uses of the directory.
    pub(crate) purpose: String,
    /// What its transfer is called.
    pub(crate) title: String,
}

impl Directory {
    /// Makes the directory known to the daemon; the name that it has there.
    pub(crate) async fn give(self, client: &Client, board: &mut Board) -> Result<String> {
        let transfer = Progress::begin(&self.title, board);
        let given = self.transfer(client, board, &transfer).await;
        transfer.end(board, given.as_ref().err());
        given
    }

    async fn transfer(self, client: &Client, board: &mut Board, show: &Progress) -> Result<String> {
        let place = Place::new(client.host(), &self.path, &self.purpose);
        let ignore = Arc::new(self.ignore);
        let mut memory = None;
        let mut changing = Vec::new();
        for _ in 0..TRIES {
            let (root, known, left_out) = (self.path.clone(), place.clone(), Arc::clone(&ignore));
            let before = memory.take();
            let (picture, difference) = blocking(move || {
                let before = before.unwrap_or_else(|| known.read());
                let picture = Picture::take(&root, &left_out, before)?;
                let difference = picture.difference(false);
                Ok((picture, difference))
            })
            .await?;
            let picture = Arc::new(picture);
            let base = difference.base.clone();
            let answer = match send::update(client, difference, &show.sent).await? {
                Some(answer) => answer,
                None => {
                    let all = Arc::clone(&picture);
                    let whole = blocking(move || Ok(all.difference(true))).await?;
                    let answer = send::update(client, whole, &show.sent).await?;
                    answer
                        .ok_or_else(|| Error::msg("the daemon does not take the build context"))?
                }
            };
            if answer.missing.is_empty() {
                let kept = picture.is_known() && base.as_ref() == Some(&answer.id);
                let id = answer.id.clone();
                blocking(move || {
                    if kept {
                        place.touch();
                    } else {
                        place.write(&picture.remember(&id));
                    }
                    Ok(())
                })
                .await?;
                return Ok(answer.id);
            }
            let (all, missing) = (Arc::clone(&picture), answer.missing);
            let wanted = missing.len();
            let contents = blocking(move || Ok(all.contents(&missing))).await?;
            if contents.len() < wanted {
                return Err(Error::msg(
                    "the daemon asks for contents that are not in the build context",
                ));
            }
            let root = std::fs::File::open(&self.path)
                .map_err(|e| Error::file("open", &self.path.display().to_string(), &e))?;
            let sending = send::contents(client, send::Files(root), contents, &show.sent);
            match show.during(board, sending).await? {
                Transfer::Done => {
                    let id = answer.id.clone();
                    blocking(move || {
                        place.write(&picture.remember(&id));
                        Ok(())
                    })
                    .await?;
                    return Ok(answer.id);
                }
                Transfer::Changed(paths) => {
                    changing.clone_from(&paths);
                    let id = answer.id;
                    // What it was sent is kept there by digest, and the name by its list.
                    memory = Some(blocking(move || Ok(forget(picture, &id, &paths))).await?);
                }
                Transfer::Failed(failure) => return Err(picture::told(&self.path, &failure)),
            }
        }
        let path = changing.first().map(|path| self.path.join(path));
        let path = path.map(|p| p.display().to_string()).unwrap_or_default();
        Err(Error::msg(format!(
            "ERROR: failed to read the build context: {path} changes while it is read"
        )))
    }
}

fn forget(picture: Arc<Picture>, id: &str, paths: &[String]) -> Vec<u8> {
    match Arc::try_unwrap(picture) {
        Ok(mut picture) => picture.doubt(id, paths),
        // Everything is read again.
        Err(_) => Vec::new(),
    }
}

/// Runs `work` beside everything else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::msg(e.to_string()))?
}

/// A transfer's step in the build's progress.
struct Progress {
    vertex: Vertex,
    sent: Sent,
}

impl Progress {
    fn begin(title: &str, board: &mut Board) -> Self {
        let vertex = Vertex {
            digest: format!("sha256:{}", hash::hex(&hash::sha256(title.as_bytes()))),
            name: format!("[internal] {title}"),
            started: Some(Timestamp::now().to_string()),
            ..Vertex::default()
        };
        board.event(&BuildEvent::Vertex(vertex.clone()));
        Self {
            vertex,
            sent: Sent::default(),
        }
    }

    fn status(&self, done: bool) -> BuildEvent {
        let now = Timestamp::now().to_string();
        BuildEvent::Status(Status {
            id: "transferring context:".to_owned(),
            vertex: self.vertex.digest.clone(),
            current: i64::try_from(self.sent.load(Ordering::Relaxed)).unwrap_or(i64::MAX),
            started: self.vertex.started.clone(),
            completed: done.then(|| now.clone()),
            timestamp: now,
            ..Status::default()
        })
    }

    /// Shows how far it is while `work` runs.
    async fn during<T>(&self, board: &mut Board, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => {
                    board.event(&self.status(false));
                    board.tick();
                }
            }
        }
    }

    fn end(self, board: &mut Board, failure: Option<&Error>) {
        if failure.is_none() {
            board.event(&self.status(true));
        }
        board.event(&BuildEvent::Vertex(Vertex {
            completed: Some(Timestamp::now().to_string()),
            error: failure.map(ToString::to_string).unwrap_or_default(),
            ..self.vertex
        }));
    }
}

/// The ignore files for a build of `dockerfile` in `context`: its own, or the context's.
pub(crate) fn ignore_files(context: &Path, dockerfile: Option<&Path>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Some(dockerfile) = dockerfile {
        let mut name = dockerfile.as_os_str().to_owned();
        name.push(".dockerignore");
        files.push(PathBuf::from(name));
    }
    files.push(context.join(".dockerignore"));
    files
}
