//! Work that reads from clients or writes to them at their pace: each on a thread of its own.
//!
//! Tokio's pool of blocking threads is for everybody; five hundred clients that send nothing would
//! leave none of it for starting a container.

use std::sync::Arc;

use api::backend::Result;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use types::Failure;

/// Threads at the same time; who comes later waits for one to be free.
const MOST: usize = 256;

/// The threads of one kind of work.
#[derive(Clone)]
pub(super) struct Threads(Arc<Semaphore>);

impl Threads {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }

    /// Waits for a free one.
    pub(super) async fn free(&self) -> Result<Free> {
        let permit = self.0.clone().acquire_owned().await;
        permit.map(Free).map_err(Failure::system)
    }

    /// Runs `work` on one, and waits for what comes of it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, result) = oneshot::channel();
        self.free().await?.start(move || {
            // Nobody waits where the client is gone.
            let _ = done.send(work());
        })?;
        result
            .await
            .unwrap_or_else(|_| Err(Failure::system("a thread of the daemon failed")))
    }
}

/// A thread that may be begun.
pub(super) struct Free(OwnedSemaphorePermit);

impl Free {
    /// Begins it.
    pub(super) fn start(self, work: impl FnOnce() + Send + 'static) -> Result<()> {
        std::thread::Builder::new()
            .name("images".to_owned())
            .spawn(move || {
                let _held = self.0;
                work();
            })
            .map(drop)
            .map_err(|e| Failure::system(format!("no thread can be had: {e}")))
    }
}
