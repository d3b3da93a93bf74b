//! Builds for the API, done by the builder.

mod agents;
mod classic;
mod live;
mod worker;

use std::{
    io::{self, BufReader, Read},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use api::backend::{self, Attachment, Body, Progress, Result};
use async_trait::async_trait;
use builder::Builder;
use engine::{Engine, Threads};
use futures_util::{StreamExt, stream};
use image::CancellationToken;
use types::{
    ErrorKind, Failure,
    build::{
        BuildRequest, ContextAnswer, ContextSource, ContextUpdate, PruneAnswer, PruneRequest,
        Record,
    },
};

use super::{
    images::{blocking, reader},
    no_thread,
};

/// Bytes of what is told of a context.
const MAX_UPDATE: u64 = 128 << 20;
/// How often it is looked at the cache where nothing is built: the disk fills by others, too.
const OFTEN: Duration = Duration::from_secs(3600);
/// Builds at the same time, and uploads.
const THREADS: usize = 64;

/// Builds of images.
pub(crate) struct Builds {
    builder: Arc<Builder>,
    threads: Threads,
    /// Of what clients send: builds must not keep it out.
    uploads: Threads,
    /// Those that a client has named, to be ended by that name.
    named: Arc<Mutex<Vec<(u64, String, CancellationToken)>>>,
    next: AtomicU64,
    /// No build begins any more.
    ending: AtomicBool,
}

/// Keeps a build's name as long as it runs and its client has not been told all.
struct Named {
    number: u64,
    named: Arc<Mutex<Vec<(u64, String, CancellationToken)>>>,
}

impl Drop for Named {
    fn drop(&mut self) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.retain(|(number, ..)| *number != self.number);
    }
}

fn failure(error: builder::Error) -> Failure {
    Failure::new(error.kind(), error)
}

/// `body`, which ends with an error once the build is called off, even where its client sends nothing.
fn until(body: Body, cancel: CancellationToken) -> Body {
    let next = |(mut body, cancel): (Body, CancellationToken)| async move {
        let next = cancel.run_until_cancelled(body.next()).await;
        let chunk = next.unwrap_or_else(|| {
            let error = "the build was canceled";
            Some(Err(io::Error::other(error)))
        })?;
        Some((chunk, (body, cancel)))
    };
    stream::unfold((body, cancel), next).boxed()
}

impl Builds {
    /// Opens the builder below the daemon's data root. Blocks.
    pub(crate) fn open(
        root: &Path,
        engine: &Arc<Engine>,
        bound: builder::Bound,
        entitlements: builder::Entitlements,
    ) -> builder::Result<Self> {
        let worker = worker::Worker::new(Arc::clone(engine));
        let store = engine.images().clone();
        let builder = Builder::open(root, store, Arc::new(worker), bound)?;
        let builder = Arc::new(builder.with(entitlements));
        let weak = Arc::downgrade(&builder);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(OFTEN).await;
                let Some(builder) = weak.upgrade() else {
                    return;
                };
                builder.collect_later();
            }
        });
        Ok(Self {
            builder,
            threads: Threads::new("builds", THREADS),
            uploads: Threads::new("contexts", THREADS),
            named: Arc::default(),
            next: AtomicU64::new(0),
            ending: AtomicBool::new(false),
        })
    }

    /// The builder, for what else tells of its cache.
    pub(crate) fn builder(&self) -> Arc<Builder> {
        Arc::clone(&self.builder)
    }

    fn name(&self, request: &BuildRequest, cancel: &CancellationToken) -> Result<Arc<Named>> {
        if self.ending.load(Ordering::SeqCst) {
            return Err(Failure::new(ErrorKind::Unavailable, "the daemon is ending"));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.push((number, request.id.clone(), cancel.clone()));
        Ok(Arc::new(Named {
            number,
            named: Arc::clone(&self.named),
        }))
    }

    /// Ends all builds, and waits a little for them to leave nothing behind and to tell their
    /// clients.
    pub(crate) async fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        let running = || {
            let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
            named.iter().for_each(|(_, _, cancel)| cancel.cancel());
            named.len()
        };
        for _ in 0..200 {
            if running() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tracing::warn!("builds still go on: the next daemon removes what is left of them");
    }
}

#[async_trait]
impl backend::Builds for Builds {
    async fn context(&self, update: Body) -> Result<ContextAnswer> {
        let (source, builder) = (reader(update), self.builder());
        let work = move || {
            let mut source = BufReader::new(source.take(MAX_UPDATE + 1));
            let update: serde_json::Result<ContextUpdate> = serde_json::from_reader(&mut source);
            if source.into_inner().limit() == 0 {
                let bound = "at most 128 MiB are taken at once: tell the context in pieces";
                return Err(Failure::invalid(bound));
            }
            let update =
                update.map_err(|e| Failure::invalid(format!("invalid JSON of a context: {e}")))?;
            builder.context(update).map_err(failure)
        };
        self.uploads
            .free()
            .await
            .run(work)
            .await
            .map_err(no_thread)?
    }

    async fn contents(&self, contents: Body) -> Result<()> {
        let (source, builder) = (reader(contents), self.builder());
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let work = move || {
            let source = BufReader::with_capacity(256 << 10, source);
            builder.contents(source, &cancel).map_err(failure)
        };
        let done = self.uploads.free().await.run(work).await;
        drop(guard);
        done.map_err(no_thread)?
    }

    async fn session(&self, request: BuildRequest) -> Result<Attachment> {
        let cancel = CancellationToken::new();
        let named = self.name(&request, &cancel)?;
        let thread = self.threads.free().await;
        let (listener, attachment) = live::connect(cancel.clone(), Arc::clone(&named));
        let builder = self.builder();
        let work = move || {
            let _named = named;
            let told = Arc::clone(&listener);
            let done = builder.build(&request, None, listener, false, &cancel);
            told.end(done);
            builder.collect_later();
        };
        thread.start(work).map_err(no_thread)?;
        Ok(attachment)
    }

    async fn build(&self, request: BuildRequest, archive: Body, quiet: bool) -> Result<Progress> {
        let cancel = CancellationToken::new();
        let named = self.name(&request, &cancel)?;
        // Where the client goes, so does what waits for it here.
        let gone = cancel.clone().drop_guard();
        let source = reader(until(archive, cancel.clone()));
        let builder = self.builder();
        let upload = match request.context {
            // A client that is slow to send keeps no other's build from going on.
            ContextSource::Empty => {
                let (builder, ended) = (self.builder(), cancel.clone());
                let work = move || {
                    let source = BufReader::with_capacity(64 << 10, source);
                    builder.upload(source, &ended)
                };
                let done = self.uploads.free().await.run(work).await;
                let done = done.map_err(no_thread)?.map_err(|e| match e {
                    _ if cancel.is_cancelled() => builder::Error::Cancelled,
                    e => e,
                });
                Some(done.map_err(failure)?)
            }
            _ => None,
        };
        let thread = self.threads.free().await;
        let (listener, lines) = classic::connect(cancel.clone(), quiet, Arc::clone(&named));
        let work = move || {
            let _named = named;
            let told = Arc::clone(&listener);
            let built = builder.build(&request, upload, listener, true, &cancel);
            told.end(built);
            builder.collect_later();
        };
        thread.start(work).map_err(no_thread)?;
        // From here on the lines see to that.
        gone.disarm();
        lines.first().await
    }

    async fn cancel(&self, id: &str) -> Result<()> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        // As Docker: one that is over by now is no error.
        let wanted = named.iter().filter(|(_, name, _)| name == id);
        wanted.for_each(|(_, _, cancel)| cancel.cancel());
        Ok(())
    }

    async fn records(&self) -> Result<Vec<Record>> {
        let builder = self.builder();
        blocking(move || Ok(builder.records())).await
    }

    async fn prune(&self, request: PruneRequest) -> Result<PruneAnswer> {
        let builder = self.builder();
        blocking(move || builder.prune(&request).map_err(failure)).await
    }
}
