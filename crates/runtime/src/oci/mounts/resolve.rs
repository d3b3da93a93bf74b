//! Paths inside the container's root, found and made by descriptors alone.
//!
//! Whoever made the image, or runs beside us on the same files, may put a symbolic link anywhere
//! and at any time. So no path is ever put together on the host: the kernel resolves inside the
//! root (`RESOLVE_IN_ROOT`), and what is missing is made step by step in the directory that was
//! found, where a name that appears meanwhile is an error and never followed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How often a resolution is repeated that a rename somewhere on the host disturbed.
const AGAIN: usize = 64;

/// Links that lead to nothing yet, one after the other, until it is a circle.
const LINKS: usize = 16;

/// What is to be at a path when nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// A path as the container sees it, without `.`, `..` and doubled slashes, and relative.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

fn open(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    for _ in 0..AGAIN {
        match rustix::fs::openat2(
            root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        ) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done.map_err(Into::into),
        }
    }
    Err(Errno::AGAIN.into())
}

/// What is at a path; links are followed inside the root.
pub(super) fn find(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open(root, path, OFlags::PATH, ResolveFlags::empty())
}

/// A directory on a way without any link.
pub(super) fn ordinary_directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open(root, path, flags, ResolveFlags::NO_SYMLINKS) {
        Err(e) if e.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
            let mut dir = open(root, Path::new(""), flags, ResolveFlags::NO_SYMLINKS)?;
            for name in path.iter() {
                dir = make_directory(dir.as_fd(), name)?;
            }
            Ok(dir)
        }
        done => done,
    }
}

/// What is at a path, made if there is nothing: directories on the way, and `kind` at its end. A
/// file is made where a link leads, inside the root: images have `/etc/resolv.conf` as a link into
/// `/run` or `/tmp`.
pub(super) fn find_or_make(root: BorrowedFd<'_>, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match find_or_make_here(root, &path, kind) {
            Err(Missing::Behind(link)) => {
                let link = match path.parent() {
                    Some(parent) if link.is_relative() => parent.join(link),
                    _ => link,
                };
                path = link.components().filter(below_root).collect();
            }
            Err(Missing::Error(e)) => return Err(e),
            Ok(found) => return Ok(found),
        }
    }
    Err(dangling(Errno::LOOP))
}

fn below_root(component: &Component<'_>) -> bool {
    matches!(component, Component::Normal(_) | Component::ParentDir)
}

/// Why nothing could be made.
enum Missing {
    /// There is a link that leads to nothing yet.
    Behind(PathBuf),
    Error(io::Error),
}

impl From<io::Error> for Missing {
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

fn find_or_make_here(root: BorrowedFd<'_>, path: &Path, kind: Kind) -> Result<OwnedFd, Missing> {
    match find(root, path) {
        Err(e) if e.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {}
        done => return Ok(done?),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(Errno::NOENT).into());
    };
    let parent = find_or_make_directory(root, parent)?;
    match kind {
        Kind::Directory => Ok(make_directory(parent.as_fd(), name)?),
        Kind::File => match rustix::fs::readlinkat(&parent, name, Vec::new()) {
            Ok(link) => Err(Missing::Behind(
                OsString::from_vec(link.into_bytes()).into(),
            )),
            Err(_) => Ok(make_file(parent.as_fd(), name)?),
        },
    }
}

/// The directory at a path, made if there is nothing.
pub(super) fn find_or_make_directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let names: Vec<&OsStr> = path.iter().collect();
    // From the end: almost always only the last name is missing.
    for existing in (0..=names.len()).rev() {
        let head: PathBuf = names[..existing].iter().collect();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut dir = match open(root, &head, flags, ResolveFlags::empty()) {
            Err(e) if e.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => continue,
            found => found?,
        };
        for name in &names[existing..] {
            // Nothing is above what is not there; and it must not lead out of the root.
            if *name == ".." {
                return Err(Errno::NOENT.into());
            }
            dir = make_directory(dir.as_fd(), name)?;
        }
        return Ok(dir);
    }
    Err(Errno::NOENT.into())
}

/// A new directory, or one that is there. A link is neither.
pub(super) fn make_directory(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    rustix::fs::openat(
        dir,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(dangling)
}

/// A new empty file, or one that is there. A link is neither.
pub(super) fn make_file(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    match rustix::fs::mknodat(
        dir,
        name,
        FileType::RegularFile,
        Mode::from_raw_mode(0o755),
        0,
    ) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    let fd = rustix::fs::openat(
        dir,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == FileType::Symlink {
        return Err(dangling(Errno::LOOP));
    }
    Ok(fd)
}

/// The link that stands where something was to be made leads nowhere, else it had been followed.
fn dangling(e: Errno) -> io::Error {
    match e {
        Errno::LOOP | Errno::NOTDIR => io::Error::new(
            io::ErrorKind::InvalidInput,
            "the way is blocked by a symbolic link that leads nowhere, or by a file",
        ),
        e => e.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaned_paths_stay_inside() {
        for (path, is) in [
            ("/", ""),
            ("/a/b", "a/b"),
            ("a//b/./", "a/b"),
            ("/../../etc", "etc"),
            ("/a/../b", "b"),
        ] {
            assert_eq!(clean(Path::new(path)), Path::new(is), "{path}");
        }
    }
}
