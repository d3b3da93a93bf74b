//! Making files below one directory and nowhere else.
//!
//! Every parent is opened with `RESOLVE_IN_ROOT`: a symbolic link in a path, whatever it says,
//! leads to somewhere inside. The last part of a path is never followed. Open directories are
//! remembered, because archives name the same parents over and over; whenever something that
//! could be a directory is removed, all of them are forgotten.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use archive::remove_all;
pub(crate) use archive::{clean, split};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;

/// The attribute by which an overlay hides everything below a directory.
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";
/// Most directories held open for one layer.
const MAX_OPEN: usize = 128;

/// A directory that a layer is unpacked into.
pub(crate) struct Tree {
    root: Rc<OwnedFd>,
    open: HashMap<Vec<u8>, Rc<OwnedFd>>,
}

/// What is in the way of a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Nothing,
    Dir,
    Whiteout,
    Other,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self {
            root: Rc::new(root),
            open: HashMap::new(),
        })
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The directory at a cleaned path, made with its parents where they are missing.
    pub(crate) fn dir(&mut self, path: &[u8]) -> io::Result<Rc<OwnedFd>> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(dir) = self.open.get(path) {
            return Ok(dir.clone());
        }
        let dir = match self.open_dir(path) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_dir(path)?,
            Err(e) => return Err(e.into()),
        };
        Ok(self.remember(path, dir))
    }

    fn remember(&mut self, path: &[u8], dir: OwnedFd) -> Rc<OwnedFd> {
        let dir = Rc::new(dir);
        if self.open.len() >= MAX_OPEN {
            self.open.clear();
        }
        self.open.insert(path.to_vec(), dir.clone());
        dir
    }

    /// The directory at a cleaned path, if there is one.
    pub(crate) fn existing_dir(&mut self, path: &[u8]) -> io::Result<Option<Rc<OwnedFd>>> {
        if path.is_empty() || self.open.contains_key(path) {
            return self.dir(path).map(Some);
        }
        match self.open_dir(path) {
            Ok(dir) => Ok(Some(self.remember(path, dir))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn open_dir(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        loop {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                // The kernel saw a rename elsewhere and could not be sure.
                Err(Errno::AGAIN) => {}
                done => return done,
            }
        }
    }

    /// An implied directory: an archive need not have an entry for each parent.
    fn make_dir(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        let (parent, name) = split(path);
        let parent = self.dir(parent)?;
        let existing = existing(parent.as_fd(), name)?;
        match existing {
            Existing::Nothing => {}
            Existing::Whiteout => self.remove(parent.as_fd(), name)?,
            Existing::Dir | Existing::Other => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "{:?} is not a directory, or a link to one in this layer, but has entries below it",
                        String::from_utf8_lossy(path)
                    ),
                ));
            }
        }
        rustix::fs::mkdirat(&*parent, name, Mode::from(0o755))?;
        let dir = self.open_dir(path)?;
        rustix::fs::chmodat(&*parent, name, Mode::from(0o755), AtFlags::empty())?;
        if existing == Existing::Whiteout {
            make_opaque(parent.as_fd(), name)?;
        }
        Ok(dir)
    }

    /// Removes whatever has the name, with all below it; never through a link.
    pub(crate) fn remove(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        self.open.clear();
        remove_all(parent, name)
    }
}

/// What has this name, without following it.
pub(crate) fn existing(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Existing> {
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Existing::Nothing),
        Err(e) => return Err(e.into()),
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Existing::Dir,
        FileType::CharacterDevice if stat.st_rdev == 0 => Existing::Whiteout,
        _ => Existing::Other,
    })
}

/// Hides what lower layers have below this directory.
pub(crate) fn make_opaque(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    Ok(rustix::fs::fsetxattr(
        &dir,
        OPAQUE,
        b"y",
        XattrFlags::empty(),
    )?)
}
