//! One watch of the kernel's for all who follow logs: any number of them costs one descriptor.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use sys::watch::Watches;
use tokio::{
    io::unix::AsyncFd,
    sync::{Notify, futures::OwnedNotified},
};

use crate::sync::lock;

/// Tells followers that their file has changed.
#[derive(Default)]
pub(crate) struct Hub(Mutex<Option<Arc<Running>>>);

struct Running {
    fd: AsyncFd<Watches>,
    /// For each file, whom to tell, and how many they are.
    files: Mutex<HashMap<i32, (Arc<Notify>, usize)>>,
}

/// A file that is watched; until it is dropped.
pub(super) struct Watched {
    running: Arc<Running>,
    number: i32,
    notify: Arc<Notify>,
}

impl Hub {
    /// Watches the file at `path`.
    pub(super) fn watch(&self, path: &Path) -> io::Result<Watched> {
        let running = self.running()?;
        let mut files = lock(&running.files);
        let number = running.fd.get_ref().add(path)?;
        let (notify, count) = files.entry(number).or_default();
        *count += 1;
        let notify = Arc::clone(notify);
        drop(files);
        Ok(Watched {
            running,
            number,
            notify,
        })
    }

    #[expect(
        deprecated,
        reason = "its successor is unsafe; Watches owns its descriptor, so this is sound"
    )]
    fn running(&self) -> io::Result<Arc<Running>> {
        let mut slot = lock(&self.0);
        if let Some(running) = &*slot {
            return Ok(Arc::clone(running));
        }
        let running = Arc::new(Running {
            fd: AsyncFd::new(Watches::new()?)?,
            files: Mutex::default(),
        });
        tokio::spawn(tell(Arc::clone(&running)));
        *slot = Some(Arc::clone(&running));
        Ok(running)
    }
}

async fn tell(running: Arc<Running>) {
    while let Ok(mut ready) = running.fd.readable().await {
        ready.clear_ready();
        let numbers = match running.fd.get_ref().take() {
            Ok(numbers) => numbers,
            Err(error) => {
                tracing::error!(%error, "followers of logs are not told any more");
                return;
            }
        };
        let files = lock(&running.files);
        for number in numbers {
            if number < 0 {
                files
                    .values()
                    .for_each(|(notify, _)| notify.notify_waiters());
            } else if let Some((notify, _)) = files.get(&number) {
                notify.notify_waiters();
            }
        }
    }
}

impl Watched {
    /// Resolves at the next change; begins to wait when it is enabled or first polled.
    pub(super) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.notify).notified_owned()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut files = lock(&self.running.files);
        if let Some((_, count)) = files.get_mut(&self.number) {
            *count -= 1;
            if *count == 0 {
                files.remove(&self.number);
                self.running.fd.get_ref().remove(self.number);
            }
        }
    }
}
