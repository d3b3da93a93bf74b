//! Work at a client's pace: on threads of its own, for the pool of blocking threads is everybody's,
//! and clients that stand still would leave none of it for starting a container.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::{Error, Result};

/// Threads at the same time; who comes later waits for one to be free.
const MOST: usize = 64;

/// The threads of all copies.
#[derive(Clone)]
pub(crate) struct Paced(Arc<Semaphore>);

impl Default for Paced {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Paced {
    /// Waits for a thread to be free; who waits must not hold a container meanwhile.
    pub(super) async fn free(&self) -> Free {
        // The semaphore is never closed.
        Free(Arc::clone(&self.0).acquire_owned().await.ok())
    }
}

/// A thread that may be begun.
pub(super) struct Free(Option<OwnedSemaphorePermit>);

impl Free {
    /// Runs `work` on it.
    pub(super) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let failed = |source| Error::Io {
            what: "a thread for a client's files".into(),
            source,
        };
        let (done, result) = oneshot::channel();
        let run = move || {
            let _held = self.0;
            // Nobody waits where the client is gone.
            let _ = done.send(work());
        };
        let thread = std::thread::Builder::new().name("files".to_owned());
        thread.spawn(run).map_err(failed)?;
        result
            .await
            .unwrap_or_else(|e| Err(failed(std::io::Error::other(e))))
    }
}
