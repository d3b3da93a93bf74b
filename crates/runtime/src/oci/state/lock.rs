//! One command at a time changes a container.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use crate::oci::{Context, Error, Result};

/// How long another command may take. One that starts a container runs hooks, which take their time.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// Held until dropped, or until the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("lock");
        let until = Instant::now() + PATIENCE;
        loop {
            let file = open(&path, true).map_err(|e| missing(dir, e))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, &path) => return Ok(Self { _file: file }),
                // Removed while we waited for it, and perhaps made anew.
                Ok(()) => return Err(Error::State("the container was just deleted".to_owned())),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                    std::thread::sleep(PAUSE);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Error::State(format!(
                        "another command has been at work on this container for {} seconds",
                        PATIENCE.as_secs()
                    )));
                }
                Err(e) => return Err(e).context(|| format!("lock {}", path.display())),
            }
        }
    }

    /// Is somebody changing it?
    pub(super) fn is_held(dir: &Path) -> bool {
        let Ok(file) = open(&dir.join("lock"), false) else {
            return false;
        };
        flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(create)
        .create(create)
        .mode(0o600)
        .open(path)
}

fn missing(dir: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::State("container does not exist".to_owned());
    }
    Error::System {
        what: format!("open {}/lock", dir.display()),
        source: error,
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}
