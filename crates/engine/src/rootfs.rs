//! Work inside a container's root file system. Every path is resolved by the
//! kernel as if that root were `/`, so that no symbolic link of an image leads out of it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{self as rfs, AtFlags, Mode, OFlags, ResolveFlags},
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

/// Fills the empty directory `target` with what `root` has at `path`, and gives it that
/// directory's owner and mode. Nothing there, or no directory: nothing happens.
pub(crate) fn copy_up(root: BorrowedFd<'_>, path: &str, target: BorrowedFd<'_>) -> io::Result<()> {
    let source = match open(root, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(source) => source,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    if rfs::Dir::read_from(target)?.any(|e| e.is_ok_and(|e| !is_dot(e.file_name().to_bytes()))) {
        return Ok(());
    }
    crate::tree_copy::copy(source.as_fd(), target).map(drop)
}

fn is_dot(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    };

    use rustix::fs::FileType;

    use super::*;

    #[test]
    fn directories_are_made_inside_the_root_whatever_links_say() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        symlink("/../../..", dir.path().join("root/up")).unwrap();
        let root = fs::File::open(dir.path().join("root")).unwrap();
        make_dirs(root.as_fd(), "/up/work/deep", (0, 0)).unwrap();
        assert!(dir.path().join("root/work/deep").is_dir());
    }

    #[test]
    fn copy_up_keeps_what_files_are() {
        let dir = tempfile::tempdir().unwrap();
        let (root, volume) = (dir.path().join("root"), dir.path().join("volume"));
        fs::create_dir_all(root.join("data/sub")).unwrap();
        fs::create_dir(&volume).unwrap();
        fs::write(root.join("data/sub/file"), "text").unwrap();
        symlink("/etc/passwd", root.join("data/link")).unwrap();
        let set_user_id = fs::Permissions::from_mode(0o4751);
        fs::set_permissions(root.join("data/sub/file"), set_user_id).unwrap();
        let fifo = root.join("data/fifo");
        rfs::mknodat(rfs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::set_permissions(&fifo, fs::Permissions::from_mode(0o622)).unwrap();
        let (root, target) = (
            fs::File::open(root).unwrap(),
            fs::File::open(&volume).unwrap(),
        );
        copy_up(root.as_fd(), "/data", target.as_fd()).unwrap();
        assert_eq!(fs::read_to_string(volume.join("sub/file")).unwrap(), "text");
        let mode = |name| fs::metadata(volume.join(name)).unwrap().mode() & 0o7777;
        assert_eq!((mode("sub/file"), mode("fifo")), (0o4751, 0o622));
        assert!(
            fs::symlink_metadata(volume.join("link"))
                .unwrap()
                .is_symlink()
        );
        // Not empty any more: a second time changes nothing.
        fs::remove_file(volume.join("sub/file")).unwrap();
        copy_up(root.as_fd(), "/data", target.as_fd()).unwrap();
        assert!(!volume.join("sub/file").exists());
    }
}
