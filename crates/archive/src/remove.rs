//! Removing a tree, however deep it is: what a container made may be deeper than a stack.
//!
//! Nothing on which something is mounted is removed, and nothing in it: the kernel takes a mount away
//! from all other mount namespaces with the name it is on, and refuses in our own only.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::{fmt, io};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

/// Directories held open on the way down; what is deeper is moved up and done after.
const HELD: usize = 64;

/// Something is mounted at this path, below the directory that was told to [`remove_all`].
#[derive(Debug)]
pub(crate) struct Mounted(pub(crate) Vec<u8>);

impl fmt::Display for Mounted {
    /// In Docker's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = String::from_utf8_lossy(&self.0);
        write!(f, "unlinkat {path}: device or resource busy")
    }
}

impl std::error::Error for Mounted {}

impl From<Mounted> for io::Error {
    fn from(mounted: Mounted) -> Self {
        Self::new(io::ErrorKind::ResourceBusy, mounted)
    }
}

/// Removes `name` in `parent` with all below it; never through a link, and nothing if it is not
/// there.
///
/// # Errors
/// The kernel's, or that something is mounted there or below; what was removed by then is gone.
pub fn remove_all(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let Some(top) = unlink_or_open(parent, name, || Mounted(name.to_vec()))? else {
        return Ok(());
    };
    let mut stack = vec![(top, name.to_vec())];
    let mut moved = 0_u64;
    while let Some((dir, _)) = stack.last() {
        let path = |last: &[u8]| {
            let names = stack.iter().map(|(_, name)| name.as_slice());
            Mounted(names.chain([last]).collect::<Vec<_>>().join(&b'/'))
        };
        if let Some((inner, inner_name)) = empty(dir.as_fd(), path)? {
            if stack.len() < HELD {
                stack.push((inner, inner_name));
                continue;
            }
            // Too deep to go on holding every parent: it becomes a child of the topmost.
            moved += 1;
            let new = format!(".wharf-removed-{moved}");
            rustix::fs::renameat(dir, inner_name.as_slice(), &stack[0].0, new.as_str())?;
            continue;
        }
        let Some((_, done)) = stack.pop() else { break };
        let above = stack.last().map_or(parent, |(dir, _)| dir.as_fd());
        match rustix::fs::unlinkat(above, done.as_slice(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Whether something is mounted on `name` itself. Asks no server, which may not answer.
fn is_mounted(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    match rustix::fs::statx(parent, name, flags, StatxFlags::TYPE) {
        Ok(stat) => Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Removes a file; opens a directory. Where something is mounted it does neither.
fn unlink_or_open(
    parent: BorrowedFd<'_>,
    name: &[u8],
    path: impl FnOnce() -> Mounted,
) -> io::Result<Option<OwnedFd>> {
    if is_mounted(parent, name)? {
        return Err(path().into());
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(None),
        Err(Errno::ISDIR) => {}
        Err(e) => return Err(e.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Some(rustix::fs::openat(
        parent,
        name,
        flags,
        Mode::empty(),
    )?))
}

/// Removes what is in `dir` up to the first directory, which is given back open; none when
/// nothing is left.
fn empty(
    dir: BorrowedFd<'_>,
    path: impl Fn(&[u8]) -> Mounted,
) -> io::Result<Option<(OwnedFd, Vec<u8>)>> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if let Some(inner) = unlink_or_open(dir, name, || path(name))? {
            return Ok(Some((inner, name.to_vec())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_and_wide_trees_go_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("file"), "x").unwrap();
        let root = std::fs::File::open(dir.path()).unwrap();
        rustix::fs::mkdirat(&root, "tree", Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::openat(&root, "tree", flags, Mode::empty()).unwrap();
        for _ in 0..5_000 {
            rustix::fs::symlinkat("/../kept", &at, "link").unwrap();
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, "d", flags, Mode::empty()).unwrap();
        }
        rustix::fs::symlinkat(kept.as_path(), &at, "link").unwrap();
        remove_all(root.as_fd(), b"tree").unwrap();
        assert!(!dir.path().join("tree").exists() && kept.join("file").exists());
        remove_all(root.as_fd(), b"tree").unwrap();
    }
}
