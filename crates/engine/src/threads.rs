//! Work at a client's pace: on threads of its own, for the pool of blocking threads is everybody's,
//! and clients that stand still would leave none of it for starting a container.

use std::{io, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The threads of one kind of work.
#[derive(Clone)]
pub struct Threads {
    free: Arc<Semaphore>,
    name: &'static str,
}

impl Threads {
    /// At most `most` at the same time, which are called `name`; who comes later waits for one to
    /// be free.
    #[must_use]
    pub fn new(name: &'static str, most: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            name,
        }
    }

    /// Waits for a thread to be free; who waits must not hold a container meanwhile.
    pub async fn free(&self) -> Free {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        Free {
            permit,
            name: self.name,
        }
    }
}

/// A thread that may be begun.
pub struct Free {
    permit: Option<OwnedSemaphorePermit>,
    name: &'static str,
}

impl Free {
    /// Begins it.
    ///
    /// # Errors
    /// Where the system has no thread for us.
    pub fn start(self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(self.name.to_owned());
        let permit = self.permit;
        let run = move || {
            let _held = permit;
            work();
        };
        thread.spawn(run).map(drop)
    }

    /// Runs `work` on it, and waits for what comes of it.
    ///
    /// # Errors
    /// Where the system has no thread for us, or `work` panicked.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = oneshot::channel();
        self.start(move || {
            // Nobody waits where the client is gone.
            let _ = done.send(work());
        })?;
        result.await.map_err(io::Error::other)
    }
}
