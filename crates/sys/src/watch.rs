//! Being told when a file grows.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Tells when a file was written to. Readable when it was; [`FileWatch::clear`] makes it wait
/// for the next time.
#[derive(Debug)]
pub struct FileWatch(OwnedFd);

impl FileWatch {
    /// Watches the file at `path`.
    ///
    /// # Errors
    /// When it is not there, or the kernel's number of watches is used up
    /// (`fs.inotify.max_user_instances`).
    pub fn new(path: &Path) -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&fd, path, WatchFlags::MODIFY)?;
        Ok(Self(fd))
    }

    /// Forgets what was told so far.
    ///
    /// # Errors
    /// Not to be expected; whatever the kernel says.
    pub fn clear(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(&self.0, &mut buffer) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for FileWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for FileWatch {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    #[test]
    fn writing_is_told_once() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let watch = FileWatch::new(file.path()).unwrap();
        let told = || {
            let mut fds = [PollFd::new(&watch, PollFlags::IN)];
            poll(
                &mut fds,
                Some(&Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                }),
            )
            .unwrap()
                == 1
        };
        assert!(!told());
        file.write_all(b"x").unwrap();
        assert!(told());
        watch.clear().unwrap();
        assert!(!told());
    }
}
