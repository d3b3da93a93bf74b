//! `tmpcopyup`: a tmpfs that begins with what lies below it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};

/// Deeper trees are refused: each level costs a descriptor.
const DEPTH: usize = 256;

/// Copies what is in a directory, with its owner, mode and times: directories, files, links and
/// nodes. Nothing is followed.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let from = open(from, c".", OFlags::DIRECTORY)?;
    let stat = rustix::fs::fstat(&from)?;
    tree(&from, to, 0)?;
    adopt(to, &stat)
}

fn open(dir: BorrowedFd<'_>, name: &std::ffi::CStr, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

fn tree(from: &OwnedFd, to: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    if depth > DEPTH {
        return Err(io::Error::other("directories too deep"));
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, mode)?;
                let source = open(from.as_fd(), name, OFlags::DIRECTORY)?;
                let made = open(to, name, OFlags::DIRECTORY)?;
                tree(&source, made.as_fd(), depth + 1)?;
                adopt(made.as_fd(), &stat)?;
            }
            FileType::RegularFile => {
                let source = open(from.as_fd(), name, OFlags::empty())?;
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let made = rustix::fs::openat(to, name, flags, mode)?;
                // The standard library's copy takes the shortest way in the kernel.
                let (mut source, mut made) =
                    (std::fs::File::from(source), std::fs::File::from(made));
                io::copy(&mut source, &mut made)?;
                adopt(made.as_fd(), &stat)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, name)?;
                owner(to, name, &stat)?;
            }
            typ @ (FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice) => {
                rustix::fs::mknodat(to, name, typ, mode, stat.st_rdev)?;
                owner(to, name, &stat)?;
            }
            FileType::Unknown => {}
        }
    }
    Ok(())
}

fn owner(dir: BorrowedFd<'_>, name: &std::ffi::CStr, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::chownat(dir, name, Some(uid), Some(gid), flags)?)
}

/// Owner first: a change of it takes set-user-id bits away.
fn adopt(fd: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(fd, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    let path = open_self(fd)?;
    rustix::fs::fchmod(&path, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime as _,
            tv_nsec: stat.st_atime_nsec as _,
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime as _,
            tv_nsec: stat.st_mtime_nsec as _,
        },
    };
    Ok(rustix::fs::futimens(&path, &times)?)
}

/// A mount's descriptor is one of `O_PATH`, through which nothing can be changed.
fn open_self(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    match rustix::fs::fstat(fd) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            open(fd, c".", OFlags::DIRECTORY)
        }
        _ => Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?),
    }
}
