//! Making an archive of a tree of files.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, SeekFrom, Stat};
use rustix::io::Errno;

use crate::acl;
use crate::read::{Header, Kind};
use crate::sparse;
use crate::write::TarWriter;
use crate::xattrs::{is_content, read_xattrs, xattrs};

/// One read's length.
const BUFFER: usize = 1 << 20;

/// Bytes of the names of files with several names that are remembered; files beyond are packed once
/// for each of their names.
const MAX_LINKS: usize = 64 << 20;

/// File systems of the kernel's own, whose files are no content.
const PSEUDO: &[i64] = &[
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x1cd1,      // devpts
    0x1980_0202, // mqueue
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
];

/// Turns an owner on the host into one in the archive.
pub type Ids<'a> = &'a (dyn Fn(u32, u32) -> (u32, u32) + Sync);

/// Writes files and trees to an archive.
pub struct Packer<'a, W> {
    out: TarWriter<W>,
    ids: Ids<'a>,
    /// Where files with several names are in the archive.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Bytes of those.
    link_bytes: usize,
    buffer: Vec<u8>,
    one_file_system: bool,
    layer: bool,
    whole: bool,
    /// Bytes of files that were packed.
    content: u64,
}

/// What an overlay's upper directory has in the place of what was removed.
const OPAQUE: &str = "trusted.overlay.opaque";

impl<'a, W: Write> Packer<'a, W> {
    /// Writes to `out`.
    pub fn new(out: W, ids: Ids<'a>) -> Self {
        Self {
            out: TarWriter::new(out),
            ids,
            links: HashMap::new(),
            link_bytes: 0,
            buffer: vec![0; BUFFER],
            one_file_system: false,
            layer: false,
            whole: false,
            content: 0,
        }
    }

    /// Leaves empty what other file systems are mounted on.
    #[must_use]
    pub fn one_file_system(mut self) -> Self {
        self.one_file_system = true;
        self
    }

    /// Packs an overlay's upper directory as an image's layer: what removes something becomes an
    /// entry `.wh.…`, as the image specification has it.
    #[must_use]
    pub fn layer(mut self) -> Self {
        self.layer = true;
        self
    }

    /// Packs all that a directory is, for [`crate::Placer`] to make the same of it: with access lists,
    /// holes as holes, and without devices, which it refuses.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// The extended attributes of a file as they are packed.
    fn xattrs(&self, file: BorrowedFd<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
        if !self.whole {
            return xattrs(file);
        }
        let mut all = read_xattrs(file, |key| is_content(key) || acl::is_acl(key));
        for (key, value) in &mut all {
            if acl::is_acl(key) {
                acl::map(value, self.ids);
            }
        }
        all
    }

    /// Bytes of the files that were packed until now, each counted once.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.content
    }

    /// What was written to, the archive ended if it is `whole`; and how that went.
    pub fn into_inner(self, whole: bool) -> (W, io::Result<()>) {
        self.out.into_inner(whole)
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<W> {
        self.out.finish()
    }

    /// Packs `name` in `parent`, not followed, as `path`, with all that is below it. File systems
    /// of the kernel's own are left empty, sockets left out.
    ///
    /// # Errors
    /// When something cannot be read or written. What vanishes meanwhile is left out.
    pub fn tree(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(dir) => self.dir(&dir, path),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                self.file(parent, name, path, &stat)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Packs an open directory as `path`, which may be empty for one without an entry.
    ///
    /// # Errors
    /// As [`Packer::tree`].
    pub fn dir(&mut self, root: &OwnedFd, path: &[u8]) -> io::Result<()> {
        let device = rustix::fs::fstat(root)?.st_dev;
        // Directories by their paths below the root, for a tree may be deeper than there are
        // descriptors.
        let mut waiting = vec![Vec::new()];
        while let Some(below) = waiting.pop() {
            let dir = match open_below(root.as_fd(), &below) {
                Ok(dir) => dir,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(e) => return Err(named(&below, e.into())),
            };
            let entry = joined(path, &below);
            let stat = rustix::fs::fstat(&dir)?;
            if !entry.is_empty() {
                let mut header = stat_header(&stat, self.ids);
                header.path = [entry.as_slice(), b"/"].concat();
                header.xattrs = self.xattrs(dir.as_fd());
                self.out.entry(&header)?;
            }
            if stat.st_dev != device && (self.one_file_system || is_pseudo(dir.as_fd())) {
                continue;
            }
            if self.layer && !below.is_empty() && is_opaque(dir.as_fd()) {
                self.mark(&joined(&entry, b".wh..wh..opq"), &stat)?;
            }
            let mut inner = Vec::new();
            for name in names(dir.as_fd())? {
                let path = joined(&entry, &name);
                if self.not_a_dir(dir.as_fd(), &name, &path, device)? {
                    inner.push(joined(&below, &name));
                }
            }
            waiting.extend(inner.into_iter().rev());
        }
        Ok(())
    }

    /// Packs one that is no directory; true if it is one.
    fn not_a_dir(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        device: u64,
    ) -> io::Result<bool> {
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(true),
            Ok(stat) if self.layer && is_whiteout(&stat) => {
                let (parent, name) = crate::path::split(path);
                let marker = joined(parent, &[b".wh.", name].concat());
                self.mark(&marker, &stat).map(|()| false)
            }
            // A file that is mounted here: what is below it is not to be seen.
            Ok(stat) if self.one_file_system && stat.st_dev != device => {
                self.mark(path, &stat).map(|()| false)
            }
            Ok(stat) => self.file(dir, name, path, &stat).map(|()| false),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(named(path, e.into())),
        }
    }

    /// An empty file.
    fn mark(&mut self, path: &[u8], stat: &Stat) -> io::Result<()> {
        let mut header = stat_header(stat, self.ids);
        header.kind = Kind::File;
        header.path = path.to_vec();
        self.out.entry(&header)
    }

    /// Packs one file of any kind but a directory as `path`; nothing, if it has vanished.
    fn file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> io::Result<()> {
        match self.try_file(dir, name, path, stat) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(e),
            done => done.map_err(|e| named(path, e)),
        }
    }

    fn try_file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> io::Result<()> {
        let mut header = stat_header(stat, self.ids);
        header.path = path.to_vec();
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Socket => return Ok(()),
            FileType::CharacterDevice | FileType::BlockDevice if self.whole => return Ok(()),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
                header.link = target.into_bytes();
            }
            _ => {}
        }
        if stat.st_nlink > 1 && header.kind != Kind::Symlink {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                header.kind = Kind::HardLink;
                header.link.clone_from(first);
                return self.out.entry(&header);
            }
            self.remember(stat, path);
        }
        if header.kind != Kind::File {
            return self.out.entry(&header);
        }
        // A device may have taken its place meanwhile: that would block, or do something.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let now = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        header.size = u64::try_from(now.st_size).unwrap_or(0);
        header.xattrs = self.xattrs(file.as_fd());
        if self.whole {
            header.sparse = sparse::pieces(&file, &now);
        }
        self.out.entry(&header)?;
        self.content += header.size;
        let Some(pieces) = &header.sparse else {
            return self.content(&file, header.size);
        };
        for (offset, length) in pieces {
            rustix::fs::seek(&file, SeekFrom::Start(*offset))?;
            self.content(&file, *length)?;
        }
        Ok(())
    }

    fn remember(&mut self, stat: &Stat, path: &[u8]) {
        // What an entry takes besides its path, about.
        const ENTRY: usize = 64;
        if self.link_bytes + path.len() + ENTRY <= MAX_LINKS {
            self.link_bytes += path.len() + ENTRY;
            self.links.insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
    }

    /// Exactly `length` bytes: a file that shrinks meanwhile is filled up with zeros.
    fn content(&mut self, file: &OwnedFd, length: u64) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let got = match rustix::io::read(file, &mut self.buffer[..most]) {
                Err(Errno::INTR) => continue,
                read => read?,
            };
            let got = match got {
                0 => {
                    self.buffer[..most].fill(0);
                    most
                }
                got => got,
            };
            self.out.data(&self.buffer[..got])?;
            left -= got as u64;
        }
        Ok(())
    }
}

/// A header with what a file's own record says.
fn stat_header(stat: &Stat, ids: Ids<'_>) -> Header {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice => Kind::Char,
        FileType::BlockDevice => Kind::Block,
        FileType::Fifo => Kind::Fifo,
        _ => Kind::File,
    };
    let device = match kind {
        Kind::Char | Kind::Block => (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        ),
        _ => (0, 0),
    };
    let (uid, gid) = ids(stat.st_uid, stat.st_gid);
    Header {
        mode: stat.st_mode & 0o7777,
        uid,
        gid,
        // Whole seconds, as Docker: a fraction would need a record of its own for every file.
        mtime: (stat.st_mtime, 0),
        device,
        ..Header::new(b"", kind, 0)
    }
}

/// Opens the directory `path` below `root`, through no link at all: whoever changes the tree
/// meanwhile cannot lead out of it.
///
/// # Errors
/// The kernel's.
pub fn open_below(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() {
        b".".as_slice()
    } else {
        path
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            // The kernel saw a rename elsewhere and could not be sure.
            Err(Errno::AGAIN) => {}
            done => return done,
        }
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether this directory of an overlay hides what layers below have in it.
pub fn is_opaque(dir: BorrowedFd<'_>) -> bool {
    let mut value = [0_u8; 4];
    rustix::fs::fgetxattr(dir, OPAQUE, &mut value).is_ok_and(|n| value[..n] == *b"y")
}

fn is_pseudo(dir: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(dir).is_ok_and(|fs| PSEUDO.contains(&fs.f_type))
}

fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() || name.is_empty() {
        return [path, name].concat();
    }
    let path = path.strip_suffix(b"/").unwrap_or(path);
    [path, b"/", name].concat()
}

fn named(path: &[u8], error: io::Error) -> io::Error {
    let text = format!("{}: {error}", String::from_utf8_lossy(path));
    io::Error::new(error.kind(), text)
}
