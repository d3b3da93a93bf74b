//! Owners, modes, times and extended attributes.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::acl;
use crate::read::{Header, Kind};

/// A file's times, from an archive's.
#[must_use]
pub fn times(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.0,
        tv_nsec: i64::from(mtime.1),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn owner(header: &Header) -> (Option<Uid>, Option<Gid>) {
    (
        Some(Uid::from_raw(header.uid)),
        Some(Gid::from_raw(header.gid)),
    )
}

fn apply_owner(parent: BorrowedFd<'_>, name: &[u8], header: &Header) -> io::Result<()> {
    if (header.uid, header.gid) == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = owner(header);
    Ok(rustix::fs::chownat(
        parent,
        name,
        uid,
        gid,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// Mode and times of what cannot be opened, a link or a device; with `all` its owner and extended
/// attributes, too. Nothing is followed, whatever takes the name meanwhile.
///
/// # Errors
/// The kernel's.
pub fn apply_by_name(
    parent: BorrowedFd<'_>,
    name: &[u8],
    header: &Header,
    all: bool,
) -> io::Result<()> {
    if all {
        apply_owner(parent, name, header)?;
    }
    if header.kind != Kind::Symlink {
        // Held, so that a link that takes its place is not followed.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&made)?.st_mode);
        if kind != FileType::Symlink {
            let path = format!("/proc/self/fd/{}", made.as_raw_fd());
            rustix::fs::chmod(path, Mode::from(header.mode))?;
        }
    }
    if all {
        for (key, value) in kept_xattrs(header) {
            let path = format!("/proc/self/fd/{}/", parent.as_raw_fd());
            let path = [path.as_bytes(), name].concat();
            rustix::fs::lsetxattr(path.as_slice(), key, value, XattrFlags::empty())?;
        }
    }
    let (times, flags) = (times(header.mtime), AtFlags::SYMLINK_NOFOLLOW);
    Ok(rustix::fs::utimensat(parent, name, &times, flags)?)
}

/// Owner, mode and extended attributes, in the order in which the kernel keeps them all: a
/// change of owner clears the setuid bit and capabilities.
///
/// # Errors
/// The kernel's.
pub fn apply(file: BorrowedFd<'_>, header: &Header) -> io::Result<()> {
    let (uid, gid) = owner(header);
    // A directory may exist already with another owner; for files of root this says nothing new.
    if (header.uid, header.gid) != (0, 0) || header.kind == Kind::Dir {
        rustix::fs::fchown(file, uid, gid)?;
    }
    rustix::fs::fchmod(file, Mode::from(header.mode))?;
    for (key, value) in kept_xattrs(header) {
        match rustix::fs::fsetxattr(file, key, value, XattrFlags::empty()) {
            // A file system without access lists: who may what is in the mode, then.
            Err(Errno::OPNOTSUPP) if acl::is_acl(key) => {
                tracing::debug!("an access list is left out");
            }
            done => done?,
        }
    }
    Ok(())
}

/// The attributes that belong to a file's content. Those of overlayfs would let an archive
/// redirect or hide other layers' files, labels of the maker's host mean nothing on this one.
fn kept_xattrs(header: &Header) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.xattrs.iter().filter_map(|(key, value)| {
        let keep = key == b"security.capability"
            || acl::is_acl(key)
            || (key.starts_with(b"user.") && !key.starts_with(b"user.overlay."));
        if !keep {
            tracing::debug!(key = %String::from_utf8_lossy(key), "extended attribute left out");
        }
        keep.then_some((key.as_slice(), value.as_slice()))
    })
}
