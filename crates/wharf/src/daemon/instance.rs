//! One daemon for each set of roots: what it holds so that no second one starts on them.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// A daemon that was killed while it started a process leaves the lock to that process for the
/// moment until it becomes another program.
const PATIENCE: Duration = Duration::from_millis(500);

/// Held while the daemon runs; the kernel lets go of it however the daemon ends.
#[derive(Debug)]
pub(crate) struct Instance {
    _locks: Vec<File>,
    pidfile: PathBuf,
}

impl Instance {
    /// Takes both roots and writes the process number.
    pub(crate) fn take(data_root: &Path, exec_root: &Path, pidfile: &Path) -> Result<Self> {
        let locks = [data_root, exec_root].map(lock);
        let locks = locks.into_iter().collect::<Result<Vec<_>>>()?;
        check(pidfile)?;
        if let Some(parent) = pidfile.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        fs::write(pidfile, std::process::id().to_string())
            .with_context(|| format!("write the pidfile {}", pidfile.display()))?;
        Ok(Self {
            _locks: locks,
            pidfile: pidfile.into(),
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Only tidiness: one that stays is recognised as stale.
        let _ = fs::remove_file(&self.pidfile);
    }
}

fn lock(root: &Path) -> Result<File> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o710)
        .create(root)
        .with_context(|| format!("create the directory {}", root.display()))?;
    let path = root.join("lock");
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    let end = Instant::now() + PATIENCE;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        bail!(
            "another wharf daemon uses {}: stop it, or give this one its own --data-root and \
             --exec-root",
            root.display()
        );
    }
    // For people who look; the lock is what counts.
    let _ = file
        .set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// A pidfile of a process that runs and is a daemon of ours is refused, as dockerd does.
fn check(pidfile: &Path) -> Result<()> {
    let Ok(text) = fs::read_to_string(pidfile) else {
        return Ok(());
    };
    let Ok(pid) = text.trim().parse::<u32>() else {
        return Ok(());
    };
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = command.split(|b| *b == 0);
    let named = words
        .next()
        .is_some_and(|program| program.ends_with(b"dockerd"));
    let ours = named || words.any(|a| a == b"daemon");
    if ours && pid != std::process::id() {
        bail!(
            "process with PID {pid} is still running (from {}): give this daemon its own --pidfile",
            pidfile.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let take = || {
            Instance::take(
                &dir.path().join("d"),
                &dir.path().join("e"),
                &dir.path().join("p"),
            )
        };
        let first = take().unwrap();
        let error = take().unwrap_err().to_string();
        assert!(error.contains("--data-root"), "{error}");
        drop(first);
        assert!(take().is_ok());
    }
}
