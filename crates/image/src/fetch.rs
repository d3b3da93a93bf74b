//! Fetching one layer: received, hashed, stored and unpacked at the same time.
//!
//! The task here only waits for the network. One thread hashes and stores the packed bytes,
//! another unpacks them; bounded channels between them keep memory flat however large the layer.
//! The layer gets its name only when both digests are right.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::blob::{Blob, BlobWriter};
use crate::channel::ChannelReader;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::layer::Staged;
use crate::manifest::Descriptor;
use crate::progress::{LayerStep, Progress};
use crate::pull::{OnProgress, blocking};
use crate::registry::{Session, back_off};
use crate::store::Store;

/// Pieces under way between two threads, each as large as what one read from the network gives:
/// up to some hundred KiB.
const PIECES: usize = 4;
/// Time between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);
/// After so many further bytes a connection has proved itself, and attempts count anew.
const PROVED: u64 = 4 << 20;

/// A layer to be had.
#[derive(Debug, Clone)]
pub(crate) struct LayerJob {
    pub(crate) blob: Descriptor,
    pub(crate) diff_id: Digest,
}

impl LayerJob {
    pub(crate) fn step(&self, step: LayerStep) -> Progress {
        Progress::Layer {
            id: self.blob.digest.short().to_owned(),
            step,
        }
    }

    fn what(&self) -> String {
        format!("layer {}", self.blob.digest.short())
    }
}

/// What became of the bytes.
enum Stored {
    Whole(Blob),
    /// The unpacker gave up first; it has the reason.
    UnpackerGone,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock by which two pulls do one layer's work once, and its place in the table of them.
struct Busy<'a> {
    store: &'a Store,
    key: Digest,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut busy = lock(&self.store.0.busy);
        // The table's and ours: nobody else waits.
        if Arc::strong_count(&self.lock) <= 2 {
            busy.remove(&self.key);
        }
    }
}

impl Store {
    pub(crate) fn has_layer(&self, job: &LayerJob) -> bool {
        let (diff_id, blob) = (&job.diff_id, &job.blob.digest);
        self.0.layers.has(diff_id) && self.0.blobs.has(blob) && self.unpacks_to(blob, diff_id)
    }

    /// Whether `blob` is known to unpack to the layer. An image may claim the identifier of any
    /// layer, and would otherwise be given the files of somebody else's.
    pub(crate) fn unpacks_to(&self, blob: &Digest, diff_id: &Digest) -> bool {
        let pair = (diff_id.clone(), blob.clone());
        if lock(&self.0.verified).contains(&pair) {
            return true;
        }
        let state = self.state();
        state.manifests.values().any(|manifest| {
            let image = state.images.get(&manifest.config.digest);
            image.is_some_and(|image| {
                let mut pairs = image.diff_ids().iter().zip(&manifest.layers);
                pairs.any(|(id, layer)| id == diff_id && layer.digest == *blob)
            })
        })
    }

    /// Remembers that it does.
    pub(crate) fn verified(&self, blob: &Digest, diff_id: &Digest) {
        lock(&self.0.verified).insert((diff_id.clone(), blob.clone()));
    }

    fn busy(&self, key: &Digest) -> Busy<'_> {
        let mut busy = lock(&self.0.busy);
        let lock = busy.entry(key.clone()).or_default().clone();
        Busy {
            store: self,
            key: key.clone(),
            lock,
        }
    }

    pub(crate) async fn fetch_layer(
        &self,
        session: &Arc<Session>,
        job: &LayerJob,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let busy = self.busy(&job.diff_id);
        let _mine = match busy.lock.try_lock() {
            Ok(mine) => mine,
            Err(_) => {
                progress(job.step(LayerStep::Waiting));
                busy.lock.lock().await
            }
        };
        if self.has_layer(job) {
            // Another pull was faster.
            progress(job.step(LayerStep::DownloadComplete));
            progress(job.step(LayerStep::PullComplete));
            return Ok(());
        }
        let permit = match self.0.downloads.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(_) => {
                progress(job.step(LayerStep::Waiting));
                self.0.downloads.acquire().await
            }
        };
        let _permit = permit.map_err(|_| Error::Cancelled("the pull"))?;
        if !self.0.blobs.has(&job.blob.digest) || !self.unpack_stored(job, cancel).await? {
            self.stream(session, job, progress, cancel).await?;
        }
        progress(job.step(LayerStep::PullComplete));
        Ok(())
    }

    /// The packed layer is here, only its files are not. False where it turned out to be damaged,
    /// as what a build left unsynced can be after a power cut: then it is removed.
    async fn unpack_stored(&self, job: &LayerJob, cancel: &CancellationToken) -> Result<bool> {
        let (store, job, cancel) = (self.clone(), job.clone(), cancel.clone());
        blocking(move || {
            let file = store.0.blobs.open(&job.blob.digest)?;
            let source = std::io::BufReader::with_capacity(64 << 10, file);
            let staged = match store.stage(&job, source, &cancel) {
                Err(Error::Digest { .. } | Error::BadArchive { .. })
                    if !store.0.blobs.is_sound(&job.blob.digest)? =>
                {
                    tracing::warn!(layer = %job.blob.digest, "stored layer is damaged and fetched anew");
                    store.0.blobs.remove(&job.blob.digest)?;
                    return Ok(false);
                }
                staged => staged?,
            };
            store.0.blobs.sync_content(&job.blob.digest)?;
            store.0.layers.publish(&staged)?;
            store.verified(&job.blob.digest, &job.diff_id);
            Ok(true)
        })
        .await
    }

    pub(crate) fn stage(
        &self,
        job: &LayerJob,
        source: impl std::io::BufRead,
        cancel: &CancellationToken,
    ) -> Result<Staged> {
        let Self(inner) = self;
        let limits = inner.options.limits;
        inner.layers.stage(
            &inner.temp,
            &job.what(),
            source,
            Some(&job.diff_id),
            limits,
            cancel,
        )
    }

    async fn stream(
        &self,
        session: &Arc<Session>,
        job: &LayerJob,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let (to_store, from_network) = mpsc::channel(PIECES);
        let unpacked_bytes = Arc::new(AtomicU64::new(0));
        // When only the packed form is missing, its files need not be made again.
        let known = self.unpacks_to(&job.blob.digest, &job.diff_id);
        let (to_unpacker, unpacking) = if known && self.0.layers.has(&job.diff_id) {
            (None, None)
        } else {
            let (sender, receiver) = sync_channel(PIECES);
            let source = ChannelReader::new(receiver, unpacked_bytes.clone());
            let (store, job, cancel) = (self.clone(), job.clone(), cancel.clone());
            let handle = tokio::task::spawn_blocking(move || store.stage(&job, source, &cancel));
            (Some(sender), Some(handle))
        };
        let storing = {
            let (store, job) = (self.clone(), job.clone());
            tokio::task::spawn_blocking(move || store.store_blob(&job, from_network, to_unpacker))
        };
        self.download(session, job, to_store, progress).await?;
        progress(job.step(LayerStep::VerifyingChecksum));
        let blob = match join(storing).await? {
            Stored::Whole(blob) => blob,
            Stored::UnpackerGone => {
                if let Some(unpacking) = unpacking {
                    join(unpacking).await?;
                }
                return Err(Error::Cancelled("unpacking"));
            }
        };
        progress(job.step(LayerStep::DownloadComplete));
        let staged = match unpacking {
            None => None,
            Some(handle) => Some(
                self.finish_unpacking(job, handle, &unpacked_bytes, progress)
                    .await?,
            ),
        };
        let store = self.clone();
        blocking(move || {
            let digest = blob.publish(&store.0.blobs)?;
            if let Some(staged) = staged {
                store.0.layers.publish(&staged)?;
                store.verified(&digest, &staged.meta.diff_id);
            }
            Ok(())
        })
        .await
    }

    async fn finish_unpacking(
        &self,
        job: &LayerJob,
        mut handle: JoinHandle<Result<Staged>>,
        done: &AtomicU64,
        progress: OnProgress<'_>,
    ) -> Result<Staged> {
        loop {
            let current = done.load(Ordering::Relaxed).min(job.blob.size);
            progress(job.step(LayerStep::Extracting {
                current,
                total: job.blob.size,
            }));
            if let Ok(done) = tokio::time::timeout(REPORT, &mut handle).await {
                return flatten(done);
            }
        }
    }

    /// The thread that stores: ends when the channel does.
    fn store_blob(
        &self,
        job: &LayerJob,
        mut source: mpsc::Receiver<Bytes>,
        unpacker: Option<SyncSender<Bytes>>,
    ) -> Result<Stored> {
        let mut writer = BlobWriter::new(&self.0.temp)?;
        while let Some(bytes) = source.blocking_recv() {
            writer.write(&bytes)?;
            if let Some(unpacker) = &unpacker
                && unpacker.send(bytes).is_err()
            {
                return Ok(Stored::UnpackerGone);
            }
        }
        drop(unpacker);
        let blob = writer.finish()?;
        blob.check(&job.what(), &job.blob.digest, job.blob.size)?;
        blob.sync()?;
        Ok(Stored::Whole(blob))
    }

    /// Receives all of a blob, resuming where a connection broke.
    async fn download(
        &self,
        session: &Session,
        job: &LayerJob,
        sink: mpsc::Sender<Bytes>,
        progress: OnProgress<'_>,
    ) -> Result<()> {
        let total = job.blob.size;
        let mut received = 0;
        let mut failures = 0;
        loop {
            let from = received;
            let failed = match self
                .receive(session, job, &sink, &mut received, progress)
                .await
            {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            failures = if received - from >= PROVED {
                1
            } else {
                failures + 1
            };
            let truncated = received > 0 && received < total;
            if failures >= self.0.options.max_download_attempts || !failed.again {
                return Err(match failed.error {
                    // It ended early, and has no more when asked for the rest.
                    Error::Registry { .. } if truncated && !failed.again => Error::Size {
                        what: job.what(),
                        expected: total,
                        actual: received,
                    },
                    error => error,
                });
            }
            let pause = failed.after.unwrap_or(back_off(failures - 1));
            tracing::debug!(error = %failed.error, received, "download of {} is resumed", job.what());
            progress(job.step(LayerStep::Retrying(pause.as_secs().max(1))));
            tokio::time::sleep(pause).await;
        }
    }

    async fn receive(
        &self,
        session: &Session,
        job: &LayerJob,
        sink: &mpsc::Sender<Bytes>,
        received: &mut u64,
        progress: OnProgress<'_>,
    ) -> Result<(), crate::registry::Retry> {
        let last = |error| crate::registry::Retry {
            error,
            again: false,
            after: None,
        };
        let total = job.blob.size;
        if total == 0 {
            return Ok(());
        }
        let mut stream = session.blob(&job.blob.digest, *received).await?;
        let mut reported = Instant::now();
        while let Some(chunk) = stream.next().await? {
            *received += chunk.len() as u64;
            if *received > total {
                let what = job.what();
                return Err(last(Error::Size {
                    what,
                    expected: total,
                    actual: *received,
                }));
            }
            // A gone receiver has its own reason, which the caller asks it for.
            if sink.send(chunk).await.is_err() {
                return Ok(());
            }
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                progress(job.step(LayerStep::Downloading {
                    current: *received,
                    total,
                }));
            }
        }
        if *received < total {
            let error = Error::Size {
                what: job.what(),
                expected: total,
                actual: *received,
            };
            return Err(crate::registry::Retry {
                error,
                again: true,
                after: None,
            });
        }
        Ok(())
    }
}

async fn join<T>(handle: JoinHandle<Result<T>>) -> Result<T> {
    flatten(handle.await)
}

fn flatten<T>(done: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    match done {
        Ok(done) => done,
        Err(e) => Err(Error::Io {
            what: "unpack a layer".to_owned(),
            source: e.into(),
        }),
    }
}
