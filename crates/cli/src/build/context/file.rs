//! Files of a context as the kernel tells them.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};
use types::build::EntryKind;

/// Seconds and nanoseconds since 1970.
pub(super) type Time = (i64, u32);

/// What the kernel says of a file, by which a change of it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) kind: EntryKind,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) inode: u64,
    pub(super) modified: Time,
    pub(super) changed: Time,
}

/// What the names of one file have in common; none where it has one name.
pub(super) fn linked(stat: &rustix::fs::Stat) -> String {
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink > 1 {
        return format!("{:x}:{:x}", stat.st_dev, stat.st_ino);
    }
    String::new()
}

/// The kind that `number` stands for in the memory.
pub(super) fn kind(number: u8) -> Option<EntryKind> {
    [EntryKind::File, EntryKind::Dir, EntryKind::Symlink]
        .into_iter()
        .find(|kind| *kind as u8 == number)
}

impl Stat {
    /// None for what is no part of a context: sockets, devices, pipes.
    pub(super) fn of(stat: &rustix::fs::Stat) -> Option<Self> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Dir,
            FileType::Symlink => EntryKind::Symlink,
            _ => return None,
        };
        let nanos = |n| u32::try_from(n).unwrap_or(0);
        let mut found = Self {
            kind,
            mode: stat.st_mode & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            inode: stat.st_ino,
            modified: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        };
        if kind == EntryKind::Dir {
            // What is in it is seen by itself; its own are only these.
            (found.size, found.inode, found.changed) = (0, 0, (0, 0));
            found.modified.1 = 0;
        }
        Some(found)
    }
}

/// Why a walk ended.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) op: &'static str,
    pub(super) path: String,
    pub(super) error: io::Error,
}

impl Failure {
    pub(super) fn new(op: &'static str, path: &str, error: impl Into<io::Error>) -> Self {
        Self {
            op,
            path: path.to_owned(),
            error: error.into(),
        }
    }
}

/// Opens `path` below `root`, through no link.
pub(super) fn open_below(
    root: impl AsFd,
    path: &str,
    flags: OFlags,
) -> Result<OwnedFd, rustix::io::Errno> {
    let path = if path.is_empty() { "." } else { path };
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    loop {
        match openat2(&root, path, flags, Mode::empty(), resolve) {
            // A rename elsewhere made the kernel unsure.
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
}
