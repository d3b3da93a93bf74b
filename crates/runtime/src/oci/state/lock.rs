//! One command at a time changes a container.
//!
//! A lock of the process (fcntl), not of the open file (flock): copies of the process, which wait for
//! `start` for as long as it takes, do not have it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, fcntl_lock},
    io::Errno,
};

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
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, &path) => return Ok(Self { _file: file }),
                // Removed while we waited for it, and perhaps made anew.
                Ok(()) => return Err(Error::State("the container was just deleted".to_owned())),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::ACCESS) if Instant::now() < until => {
                    std::thread::sleep(PAUSE);
                }
                Err(Errno::AGAIN | Errno::ACCESS) => {
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
        let tried = fcntl_lock(&file, FlockOperation::NonBlockingLockShared);
        matches!(tried, Err(Errno::AGAIN | Errno::ACCESS))
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
