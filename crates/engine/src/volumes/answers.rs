//! Whether what is mounted as a volume answers: a server may be gone, and then whoever touches its
//! files waits, for good. So it is tried once, on a thread of its own, before a container or we
//! ourselves have it; while that hangs nobody else tries, and no further thread is lost to it.

use std::{fs, path::Path, sync::Arc, time::Duration};

use super::{Volume, Volumes};
use crate::{
    error::{Error, Result},
    sync::lock,
};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Volumes {
    /// Refuses a volume that does not answer.
    pub(super) async fn answers(self: &Arc<Self>, volume: &Volume, place: &Path) -> Result<()> {
        if volume.is_plain() {
            return Ok(());
        }
        let name = &volume.name;
        let silent = || Error::Io {
            what: format!("use volume {name}"),
            source: std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                format!(
                    "what is mounted at {} does not answer: its server may be gone",
                    place.display()
                ),
            ),
        };
        if !lock(&self.asked).insert(name.clone()) {
            return Err(silent());
        }
        let (sender, answered) = tokio::sync::oneshot::channel();
        let (volumes, asked, path) = (Arc::clone(self), name.clone(), place.to_owned());
        let thread = std::thread::Builder::new().name("volume".into());
        let spawned = thread.spawn(move || {
            // What is wrong with it is told by who uses it.
            let _ = fs::metadata(&path);
            lock(&volumes.asked).remove(&asked);
            let _ = sender.send(());
        });
        if let Err(error) = spawned {
            lock(&self.asked).remove(name);
            return Err(Error::io("start a thread")(error));
        }
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(_) => Ok(()),
            Err(_) => Err(silent()),
        }
    }
}
