//! Builds for the API, done by the builder.

mod agents;
mod classic;
mod live;
mod worker;

use std::{
    io::{BufReader, Read},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use api::backend::{self, Attachment, Body, Progress, Result};
use async_trait::async_trait;
use builder::{Builder, Upload};
use engine::{Engine, Threads};
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
const MAX_UPDATE: u64 = 1 << 30;
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

impl Builds {
    /// Opens the builder below the daemon's data root. Blocks.
    pub(crate) fn open(
        root: &Path,
        engine: &Arc<Engine>,
        bound: builder::Bound,
    ) -> builder::Result<Self> {
        let worker = worker::Worker::new(Arc::clone(engine));
        let store = engine.images().clone();
        let builder = Arc::new(Builder::open(root, store, Arc::new(worker), bound)?);
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
            let source = BufReader::new(source.take(MAX_UPDATE));
            let update: ContextUpdate = serde_json::from_reader(source)
                .map_err(|e| Failure::invalid(format!("invalid JSON of a context: {e}")))?;
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
        let thread = self.threads.free().await;
        let source = reader(archive);
        let builder = self.builder();
        let (listener, lines) = classic::connect(cancel.clone(), quiet, Arc::clone(&named));
        let work = move || {
            let _named = named;
            let told = Arc::clone(&listener);
            let upload: builder::Result<Option<Upload>> = match request.context {
                ContextSource::Empty => builder
                    .upload(BufReader::with_capacity(64 << 10, source), &cancel)
                    .map(Some),
                _ => Ok(None),
            };
            let built =
                upload.and_then(|upload| builder.build(&request, upload, listener, true, &cancel));
            told.end(built);
            builder.collect_later();
        };
        thread.start(work).map_err(no_thread)?;
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
