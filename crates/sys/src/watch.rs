//! Being told when files grow.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

/// Tells which of many files were written to or renamed. Readable when there is something to
/// tell. The kernel allows a user few of these and many files in each
/// (`fs.inotify.max_user_instances` and `max_user_watches`).
#[derive(Debug)]
pub struct Watches(OwnedFd);

impl Watches {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the kernel's number of instances is used up.
    pub fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self(fd))
    }

    /// Watches the file at `path` too; answers by which number it is told. The same file has the
    /// same number.
    ///
    /// # Errors
    /// When it is not there, or the kernel's number of watches is used up.
    pub fn add(&self, path: &Path) -> io::Result<i32> {
        let what = WatchFlags::MODIFY | WatchFlags::MOVE_SELF;
        Ok(inotify::add_watch(&self.0, path, what)?)
    }

    /// Watches a file no more.
    pub fn remove(&self, number: i32) {
        // One that was deleted is watched no more anyway.
        let _ = inotify::remove_watch(&self.0, number);
    }

    /// Which files it was since the last time, some of them perhaps several times. A number below
    /// zero stands for all: there was more than the kernel keeps.
    ///
    /// # Errors
    /// Not to be expected; whatever the kernel says.
    pub fn take(&self) -> io::Result<Vec<i32>> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut numbers = Vec::new();
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => numbers.push(-1),
                Ok(event) => numbers.push(event.wd()),
                Err(Errno::AGAIN) => return Ok(numbers),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for Watches {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for Watches {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn writing_and_renaming_are_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut one = std::fs::File::create(path("one")).unwrap();
        std::fs::File::create(path("two")).unwrap();
        let watches = Watches::new().unwrap();
        let number = watches.add(&path("one")).unwrap();
        let other = watches.add(&path("two")).unwrap();
        assert_eq!(watches.add(&path("one")).unwrap(), number);
        assert_eq!(watches.take().unwrap(), []);
        one.write_all(b"x").unwrap();
        assert_eq!(watches.take().unwrap(), [number]);
        assert_eq!(watches.take().unwrap(), []);
        std::fs::rename(path("two"), path("three")).unwrap();
        assert_eq!(watches.take().unwrap(), [other]);
        watches.remove(number);
        // The kernel's confirmation.
        assert_eq!(watches.take().unwrap(), [number]);
        one.write_all(b"x").unwrap();
        assert_eq!(watches.take().unwrap(), []);
    }
}
