//! Removing a tree, however deep it is: what a container made may be deeper than a stack.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

/// Directories held open on the way down; what is deeper is moved up and done after.
const HELD: usize = 64;

/// Removes `name` in `parent` with all below it; never through a link, and nothing if it is not
/// there.
///
/// # Errors
/// The kernel's.
pub fn remove_all(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let Some(top) = unlink_or_open(parent, name)? else {
        return Ok(());
    };
    let mut stack = vec![(top, name.to_vec())];
    let mut moved = 0_u64;
    while let Some((dir, _)) = stack.last() {
        if let Some((inner, inner_name)) = empty(dir.as_fd())? {
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

/// Removes a file; opens a directory.
fn unlink_or_open(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<OwnedFd>> {
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
fn empty(dir: BorrowedFd<'_>) -> io::Result<Option<(OwnedFd, Vec<u8>)>> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if let Some(inner) = unlink_or_open(dir, name)? {
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
