//! Copying a tree of files as it is: owners, modes, times, extended attributes, files with several
//! names, holes. Where the file system can, files share their place on disk with the original.
//!
//! Both trees may be changed meanwhile by containers: everything is opened below the two
//! directories, through no link.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

use archive::open_below;
use rustix::{
    fs::{self as rfs, AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat, XattrFlags},
    io::Errno,
};

/// One read's length, where the kernel cannot copy by itself.
const BUFFER: usize = 256 << 10;
/// Longest value of an extended attribute, by the kernel.
const MAX_XATTR: usize = 64 << 10;
/// Bytes of the names of files with several names that are remembered; those beyond are copied once
/// for each name.
const MAX_LINKS: usize = 64 << 20;
/// What such a file takes besides its name, about.
const LINK: usize = 64;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Bytes of files, each counted once.
    pub bytes: u64,
    /// No file's content was written again.
    pub shared: bool,
}

/// A directory that is not looked through yet.
struct Waiting {
    parent: Rc<[u8]>,
    name: Box<[u8]>,
}

struct Copier<'a> {
    to: BorrowedFd<'a>,
    /// Where files with several names are in the copy.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Bytes of those.
    link_bytes: usize,
    buffer: Vec<u8>,
    /// The file system has refused to share.
    cannot_share: bool,
    done: Copied,
}

/// Copies what is in `from` into `to`, which gets its owner, mode, times and attributes, too. What
/// other file systems are mounted on stays empty.
pub(crate) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<Copied> {
    let mut copier = Copier {
        to,
        links: HashMap::new(),
        link_bytes: 0,
        buffer: Vec::new(),
        cannot_share: false,
        done: Copied {
            bytes: 0,
            shared: true,
        },
    };
    let device = rfs::fstat(from)?.st_dev;
    // By their paths: a tree may be deeper than there are descriptors. Of each only its own name is
    // held, and its parent's path once for all of them.
    let mut waiting = vec![Waiting {
        parent: Rc::from(&b""[..]),
        name: Box::from(&b""[..]),
    }];
    while let Some(next) = waiting.pop() {
        let path = joined(&next.parent, &next.name);
        let source = match open_below(from, &path) {
            Ok(dir) => dir,
            // It went meanwhile, or became something else.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(e) => return Err(named(&path, e.into())),
        };
        let made = open_below(to, &path).map_err(|e| named(&path, e.into()))?;
        let stat = rfs::fstat(&source)?;
        if stat.st_dev == device {
            copier
                .dir(source.as_fd(), made.as_fd(), &path, &mut waiting)
                .map_err(|e| named(&path, e))?;
        }
        // After what is in it, which changes its times.
        attributes(source.as_fd(), made.as_fd(), &stat).map_err(|e| named(&path, e))?;
    }
    Ok(copier.done)
}

fn joined(parent: &[u8], name: &[u8]) -> Vec<u8> {
    match parent.is_empty() {
        true => name.to_vec(),
        false => [parent, b"/", name].concat(),
    }
}

fn named(path: &[u8], error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{}: {error}", String::from_utf8_lossy(path)),
    )
}

impl Copier<'_> {
    fn dir(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        path: &[u8],
        waiting: &mut Vec<Waiting>,
    ) -> io::Result<()> {
        let parent: Rc<[u8]> = Rc::from(path);
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let stat = match rfs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                rfs::mkdirat(to, name, Mode::RWXU)?;
                waiting.push(Waiting {
                    parent: Rc::clone(&parent),
                    name: Box::from(name),
                });
                continue;
            }
            let several = stat.st_nlink > 1;
            let key = (stat.st_dev, stat.st_ino);
            if several && let Some(first) = self.links.get(&key) {
                let (parent, first) = archive::split(first);
                let parent = open_below(self.to, parent)?;
                rfs::linkat(&parent, first, to, name, AtFlags::empty())?;
                continue;
            }
            match self.file(from, to, name, &stat) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                done => done.map_err(|e| named(name, e))?,
            }
            let below = joined(path, name);
            if several && self.link_bytes + below.len() + LINK <= MAX_LINKS {
                self.link_bytes += below.len() + LINK;
                self.links.insert(key, below);
            }
        }
        Ok(())
    }

    /// Anything but a directory.
    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &[u8],
        stat: &Stat,
    ) -> io::Result<()> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                // A device may have taken its place meanwhile: that would block, or do something.
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let source = rfs::openat(from, name, flags, Mode::empty())?;
                let now = rfs::fstat(&source)?;
                if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
                    return Ok(());
                }
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let made = rfs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
                self.content(&source, &made, &now)?;
                attributes(source.as_fd(), made.as_fd(), &now)
            }
            FileType::Symlink => {
                let target = rfs::readlinkat(from, name, Vec::new())?;
                rfs::symlinkat(&target, to, name)?;
                let (uid, gid) = owner(stat);
                rfs::chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(rfs::utimensat(
                    to,
                    name,
                    &times(stat),
                    AtFlags::SYMLINK_NOFOLLOW,
                )?)
            }
            kind => {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                rfs::mknodat(to, name, kind, Mode::empty(), stat.st_rdev)?;
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = rfs::openat(to, name, flags, Mode::empty())?;
                let (uid, gid) = owner(stat);
                rfs::chownat(&made, "", uid, gid, AtFlags::EMPTY_PATH)?;
                rfs::chmod(format!("/proc/self/fd/{}", made.as_raw_fd()), mode)?;
                Ok(rfs::utimensat(
                    to,
                    name,
                    &times(stat),
                    AtFlags::SYMLINK_NOFOLLOW,
                )?)
            }
        }
    }

    fn content(&mut self, from: &OwnedFd, to: &OwnedFd, stat: &Stat) -> io::Result<()> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.done.bytes += size;
        if size == 0 {
            return Ok(());
        }
        if !self.cannot_share {
            match rfs::ioctl_ficlone(to, from) {
                Ok(()) => return Ok(()),
                Err(_) => self.cannot_share = true,
            }
        }
        self.done.shared = false;
        let mut at = 0;
        while at < size {
            // Holes stay holes; where the file system knows of none, all is data.
            let start = match rfs::seek(from, SeekFrom::Data(at)) {
                Ok(start) => start,
                Err(Errno::NXIO) => break,
                Err(_) => at,
            };
            let end = rfs::seek(from, SeekFrom::Hole(start))
                .unwrap_or(size)
                .min(size);
            if end <= start {
                break;
            }
            self.range(from, to, start, end)?;
            at = end;
        }
        Ok(rfs::ftruncate(to, size)?)
    }

    fn range(&mut self, from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> io::Result<()> {
        let (mut read, mut written) = (start, start);
        while read < end {
            let left = usize::try_from(end - read).unwrap_or(usize::MAX);
            let got = rfs::copy_file_range(from, Some(&mut read), to, Some(&mut written), left);
            match got {
                Ok(0) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    return self.by_hand(from, to, read, end);
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn by_hand(&mut self, from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> io::Result<()> {
        self.buffer.resize(BUFFER, 0);
        let mut at = start;
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(BUFFER).min(BUFFER);
            let got = match rustix::io::pread(from, &mut self.buffer[..most], at) {
                Err(Errno::INTR) => continue,
                got => got?,
            };
            if got == 0 {
                return Ok(());
            }
            let mut done = 0;
            while done < got {
                match rustix::io::pwrite(to, &self.buffer[done..got], at + done as u64) {
                    Err(Errno::INTR) => {}
                    wrote => done += wrote?,
                }
            }
            at += got as u64;
        }
        Ok(())
    }
}

/// Owner, mode, extended attributes and times, by descriptors: who shares the tree may have put
/// something else in a name's place.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = owner(stat);
    rfs::fchown(to, uid, gid)?;
    // After the owner, whose change takes set-user-id bits and capabilities away.
    rfs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    for (key, value) in xattrs(from) {
        match rfs::fsetxattr(to, key.as_slice(), &value, XattrFlags::empty()) {
            // A file system that has none, or a label that only the other one takes.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(rfs::futimens(to, &times(stat))?)
}

/// All but those of overlayfs, which would make other files of it.
fn xattrs(file: BorrowedFd<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0_u8; MAX_XATTR];
    let Ok(length) = rfs::flistxattr(file, &mut list) else {
        return Vec::new();
    };
    let overlay =
        |key: &[u8]| key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.");
    let keys = list[..length].split(|b| *b == 0);
    keys.filter(|key| !key.is_empty() && !overlay(key))
        .filter_map(|key| {
            let mut value = vec![0_u8; MAX_XATTR];
            let length = rfs::fgetxattr(file, key, &mut value).ok()?;
            value.truncate(length);
            Some((key.to_vec(), value))
        })
        .collect()
}

fn owner(stat: &Stat) -> (Option<rfs::Uid>, Option<rfs::Gid>) {
    let (uid, gid) = (stat.st_uid, stat.st_gid);
    (Some(rfs::Uid::from_raw(uid)), Some(rfs::Gid::from_raw(gid)))
}

fn times(stat: &Stat) -> rfs::Timestamps {
    let time = |seconds: i64, nanos: u64| rfs::Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanos).unwrap_or(0),
    };
    rfs::Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    };

    use super::*;

    #[test]
    fn a_copy_is_what_the_original_is() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("sub/deep")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("sub/file"), "text").unwrap();
        fs::hard_link(from.join("sub/file"), from.join("second")).unwrap();
        fs::set_permissions(from.join("second"), fs::Permissions::from_mode(0o4711)).unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        rfs::mknodat(rfs::CWD, from.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::set_permissions(from.join("fifo"), fs::Permissions::from_mode(0o622)).unwrap();
        let hole = fs::File::create(from.join("hole")).unwrap();
        hole.set_len(64 << 20).unwrap();
        std::os::unix::fs::FileExt::write_at(&hole, b"end", (64 << 20) - 3).unwrap();
        let owned = rfs::chown(from.join("sub"), Some(rfs::Uid::from_raw(70)), None).is_ok();
        let attr = rfs::setxattr(from.join("hole"), "user.x", b"y", XattrFlags::empty()).is_ok();
        let open = |path| fs::File::open(path).unwrap();
        let copied = copy(open(&from).as_fd(), open(&to).as_fd()).unwrap();
        assert_eq!(copied.bytes, (64 << 20) + 4);
        let meta = |name: &str| fs::symlink_metadata(to.join(name)).unwrap();
        assert_eq!(meta("second").mode() & 0o7777, 0o4711);
        assert_eq!(meta("fifo").mode() & 0o7777, 0o622);
        assert_eq!(meta("second").ino(), meta("sub/file").ino());
        assert!(meta("link").is_symlink() && meta("sub/deep").is_dir());
        assert!(meta("hole").blocks() * 512 < 1 << 20, "holes stay holes");
        assert_eq!(meta("hole").len(), 64 << 20);
        if owned {
            assert_eq!(meta("sub").uid(), 70);
        }
        if attr {
            let mut value = [0; 4];
            assert_eq!(rfs::getxattr(to.join("hole"), "user.x", &mut value), Ok(1));
        }
        let times = |root: &std::path::Path| fs::metadata(root.join("sub")).unwrap().mtime_nsec();
        assert_eq!(times(&from), times(&to));
    }
}
