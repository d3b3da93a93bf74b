//! Work inside a container's root file system. Every path is resolved by the
//! kernel as if that root were `/`, so that no symbolic link of an image leads out of it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{self as rfs, AtFlags, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

/// Opens `path` inside `root`; the last part is followed unless `flags` say otherwise.
pub(crate) fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rfs::openat2(root, path, flags, Mode::empty(), resolve) {
            // The kernel saw a rename elsewhere and could not be sure.
            Err(Errno::AGAIN) => {}
            done => return done,
        }
    }
}

/// Makes the directory `path` and its missing parents, mode 0755, owned by `owner`; what is
/// there stays as it is.
pub(crate) fn make_dirs(root: BorrowedFd<'_>, path: &str, owner: (u32, u32)) -> io::Result<()> {
    let mut done = String::new();
    let mut at: Option<OwnedFd> = None;
    for part in path.split('/').filter(|p| !p.is_empty()) {
        let parent = at.as_ref().map_or(root, OwnedFd::as_fd);
        match rfs::mkdirat(parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let (uid, gid) = (rfs::Uid::from_raw(owner.0), rfs::Gid::from_raw(owner.1));
                rfs::chownat(
                    parent,
                    part,
                    Some(uid),
                    Some(gid),
                    AtFlags::SYMLINK_NOFOLLOW,
                )?;
            }
            // A read-only root is judged when the directory is opened.
            Err(Errno::EXIST | Errno::ROFS) => {}
            Err(e) => return Err(e.into()),
        }
        done.push('/');
        done.push_str(part);
        // From the root each time: the component may be a symbolic link.
        at = Some(open(root, &done, OFlags::PATH | OFlags::DIRECTORY)?);
    }
    Ok(())
}

/// Makes `path` an empty file with its missing parents, as the runtime does where a file is to be
/// mounted; what is there stays as it is.
pub(crate) fn make_file(root: BorrowedFd<'_>, path: &str, owner: (u32, u32)) -> io::Result<()> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        done => return Ok(done.map(drop)?),
    }
    let (above, name) = path.rsplit_once('/').unwrap_or_default();
    make_dirs(root, above, owner)?;
    let parent = match above {
        "" => "/",
        above => above,
    };
    let parent = open(root, parent, OFlags::PATH | OFlags::DIRECTORY)?;
    let mode = Mode::from_raw_mode(0o755);
    match rfs::mknodat(&parent, name, FileType::RegularFile, mode, 0) {
        Ok(()) => {
            let (uid, gid) = (rfs::Uid::from_raw(owner.0), rfs::Gid::from_raw(owner.1));
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            Ok(rfs::chownat(&parent, name, Some(uid), Some(gid), flags)?)
        }
        // A link that leads nowhere, or a read-only root: judged when it is opened.
        Err(Errno::EXIST | Errno::ROFS) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// The directory `path` inside `root`; none where there is none.
pub(crate) fn directory(root: BorrowedFd<'_>, path: &str) -> io::Result<Option<OwnedFd>> {
    match open(root, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn directories_are_made_inside_the_root_whatever_links_say() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        symlink("/../../..", dir.path().join("root/up")).unwrap();
        let root = fs::File::open(dir.path().join("root")).unwrap();
        make_dirs(root.as_fd(), "/up/work/deep", (0, 0)).unwrap();
        assert!(dir.path().join("root/work/deep").is_dir());
        symlink("/nowhere/at/all", dir.path().join("root/dangles")).unwrap();
        for _ in 0..2 {
            make_file(root.as_fd(), "/up/new/file", (0, 0)).unwrap();
            make_file(root.as_fd(), "/top", (0, 0)).unwrap();
            make_file(root.as_fd(), "/dangles", (0, 0)).unwrap();
        }
        assert!(dir.path().join("root/new/file").is_file());
        assert!(dir.path().join("root/top").is_file());
        assert!(!dir.path().join("root/nowhere").exists());
    }
}
