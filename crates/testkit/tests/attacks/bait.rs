//! What attackers reach for: a file of the host's, and things that change places while a start looks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A directory of the host's that no container was given, with a secret in it.
pub(crate) struct Bait {
    dir: tempfile::TempDir,
}

pub(crate) const SECRET: &str = "of-the-host-only";

impl Bait {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("tk-bait-").tempdir();
        let dir = dir.expect("a folder");
        fs::write(dir.path().join("secret"), SECRET).expect("a file");
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn secret(&self) -> PathBuf {
        self.path().join("secret")
    }

    /// Panics unless it is as it was.
    #[track_caller]
    pub(crate) fn untouched(&self) {
        let names: Vec<_> = fs::read_dir(self.path())
            .expect("it is there")
            .map(|e| e.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["secret"], "something was made on the host");
        let text = fs::read_to_string(self.secret()).expect("a file");
        assert_eq!(text, SECRET, "a file of the host was written");
    }
}

/// A kernel setting of the whole host, which no container may write; put back should an attack succeed.
pub(crate) struct HostSetting(Vec<u8>);

impl HostSetting {
    pub(crate) const PATH: &str = "/proc/sys/kernel/core_pattern";

    pub(crate) fn new() -> Self {
        Self(fs::read(Self::PATH).expect("the host's setting"))
    }

    #[track_caller]
    pub(crate) fn untouched(&self) {
        let now = fs::read(Self::PATH).expect("the host's setting");
        assert!(now == self.0, "a setting of the host was written");
    }
}

impl Drop for HostSetting {
    fn drop(&mut self) {
        if fs::read(Self::PATH).is_ok_and(|now| now != self.0) {
            let _ = fs::write(Self::PATH, &self.0);
        }
    }
}

/// Puts `a` and `b` in each other's place, again and again, until it is dropped.
pub(crate) struct Swapper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    pub(crate) fn new(a: PathBuf, b: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let swap = move || {
            while !until.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let cwd = rustix::fs::CWD;
                let _ = rustix::fs::renameat_with(cwd, &a, cwd, &b, flags);
                std::thread::yield_now();
            }
        };
        let thread = Some(std::thread::spawn(swap));
        Self { stop, thread }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
