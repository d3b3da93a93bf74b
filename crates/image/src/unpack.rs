//! Applying a layer's archive to an empty directory, in the form that overlayfs stacks.
//!
//! A layer is unpacked by itself, whatever is below it: what it deletes becomes a whiteout (a
//! character device 0:0), a directory that hides what was below becomes opaque.

mod whiteout;

use std::io::{self, BufRead};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use archive::{Header, Kind, TarReader, apply as attributes, apply_by_name, times};
use whiteout::WHITEOUT;

use crate::tree::{self, Existing, Tree};

/// Owner and mode that a layer gives the root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootAttributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What a layer turned out to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Bytes of all its regular files.
    pub(crate) size: u64,
    pub(crate) root: Option<RootAttributes>,
    /// Whether it hides all layers below it.
    pub(crate) root_opaque: bool,
}

/// How much a layer may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that one layer may unpack to.
    pub layer_bytes: u64,
    /// Entries that one layer may have.
    pub layer_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layer_bytes: 256 << 30,
            layer_entries: 20_000_000,
        }
    }
}

/// Unpacks a whole archive; the reader is returned where the archive ends.
pub(crate) fn unpack<R: BufRead>(
    tree: &mut Tree,
    source: R,
    limits: Limits,
    cancel: &CancellationToken,
) -> io::Result<(Outcome, R)> {
    let mut unpacker = Unpacker {
        tree,
        outcome: Outcome::default(),
        directories: Vec::new(),
        whiteouts: Vec::new(),
        limits,
        apparent: 0,
    };
    let mut archive = TarReader::new(source);
    let mut entries = 0_u64;
    while let Some(header) = archive.next()? {
        entries += 1;
        if entries > limits.layer_entries {
            return Err(invalid(format!(
                "it has more than {} entries, which is the limit",
                limits.layer_entries
            )));
        }
        if cancel.is_cancelled() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
        }
        unpacker
            .entry(&header, &mut archive)
            .map_err(|e| named(&header, e))?;
    }
    unpacker.drop_needless_whiteouts()?;
    unpacker.set_directory_times()?;
    let outcome = unpacker.outcome;
    Ok((outcome, archive.drain()?))
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Adds the entry's name; keeps the kind, by which a full disk is told from a bad archive.
fn named(header: &Header, error: io::Error) -> io::Error {
    let kind = match error.raw_os_error().map(Errno::from_raw_os_error) {
        // What the archive asks for cannot be had.
        Some(
            Errno::NAMETOOLONG
            | Errno::LOOP
            | Errno::NOTDIR
            | Errno::NOENT
            | Errno::ISDIR
            | Errno::FBIG
            | Errno::INVAL
            | Errno::MLINK
            | Errno::XDEV,
        ) => io::ErrorKind::InvalidData,
        _ => error.kind(),
    };
    io::Error::new(
        kind,
        format!("entry {:?}: {error}", String::from_utf8_lossy(&header.path)),
    )
}

struct Unpacker<'a> {
    tree: &'a mut Tree,
    outcome: Outcome,
    /// Times of directories, set at the end because every new file changes them.
    directories: Vec<(Vec<u8>, (i64, u32))>,
    /// Whiteouts made, as parent and name.
    whiteouts: Vec<(Vec<u8>, Vec<u8>)>,
    limits: Limits,
    /// Sum of the files' lengths, which holes make larger than what is stored.
    apparent: u64,
}

impl Unpacker<'_> {
    fn entry<R: BufRead>(&mut self, header: &Header, archive: &mut TarReader<R>) -> io::Result<()> {
        let path = tree::clean(&header.path)
            .ok_or_else(|| invalid("it leads out of the layer's root, which is refused"))?;
        if path.is_empty() {
            if header.kind != Kind::Dir {
                return Err(invalid(
                    "the root of a layer cannot be anything but a directory",
                ));
            }
            return self.root(header);
        }
        let (parent_path, name) = tree::split(&path);
        if parent_path
            .split(|b| *b == b'/')
            .any(|part| part.starts_with(WHITEOUT))
        {
            return Err(invalid("a name beginning with .wh. cannot be a directory"));
        }
        if name.starts_with(WHITEOUT) {
            return self.mark(parent_path, name);
        }
        let parent = self.tree.dir(parent_path)?;
        let parent = parent.as_fd();
        if header.kind == Kind::Char && header.device == (0, 0) {
            return self.whiteout(parent, parent_path, name);
        }
        match header.kind {
            Kind::Dir => {
                self.directory(parent, name, header)?;
                self.directories.push((path, header.mtime));
                return Ok(());
            }
            Kind::File => return self.file(parent, name, header, archive),
            Kind::HardLink => return self.hard_link(parent, name, header),
            Kind::Symlink => {
                if header.link.is_empty() {
                    return Err(invalid("a symbolic link has no target"));
                }
                self.replacing(parent, name, || {
                    rustix::fs::symlinkat(header.link.as_slice(), parent, name)
                })?;
            }
            Kind::Char | Kind::Block | Kind::Fifo => {
                self.replacing(parent, name, || archive::make_node(parent, name, header))?;
            }
        }
        apply_by_name(parent, name, header, true)
    }

    fn root(&mut self, header: &Header) -> io::Result<()> {
        let root = self.tree.root();
        attributes(root, header)?;
        self.directories.push((Vec::new(), header.mtime));
        self.outcome.root = Some(RootAttributes {
            mode: header.mode,
            uid: header.uid,
            gid: header.gid,
        });
        Ok(())
    }

    fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        header: &Header,
    ) -> io::Result<()> {
        let mut hides = false;
        match rustix::fs::mkdirat(parent, name, Mode::from(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let existing = tree::existing(parent, name)?;
                if existing != Existing::Dir {
                    self.tree.remove(parent, name)?;
                    rustix::fs::mkdirat(parent, name, Mode::from(0o700))?;
                    hides = true;
                }
            }
            Err(e) => return Err(e.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        if hides {
            rustix::fs::fsetxattr(&dir, tree::OPAQUE, b"y", XattrFlags::empty())?;
        }
        attributes(dir.as_fd(), header)
    }

    fn file<R: BufRead>(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        header: &Header,
        archive: &mut TarReader<R>,
    ) -> io::Result<()> {
        self.apparent = self.apparent.saturating_add(header.size);
        if self.apparent > self.limits.layer_bytes {
            return Err(invalid(format!(
                "the layer's files have more than {} bytes, which is the limit",
                self.limits.layer_bytes
            )));
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.replacing(parent, name, || {
            rustix::fs::openat(parent, name, flags, Mode::from(0o600))
        })?;
        archive::write_content(&file, header, archive)?;
        self.outcome.size += header.size;
        attributes(file.as_fd(), header)?;
        Ok(rustix::fs::futimens(&file, &times(header.mtime))?)
    }

    fn hard_link(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        header: &Header,
    ) -> io::Result<()> {
        let target = tree::clean(&header.link)
            .filter(|target| !target.is_empty())
            .ok_or_else(|| {
                invalid("a hard link's target leads out of the layer's root, which is refused")
            })?;
        let (target_parent, target_name) = tree::split(&target);
        let target_parent = self.tree.dir(target_parent)?;
        let target_parent = target_parent.as_fd();
        match tree::existing(target_parent, target_name)? {
            Existing::Other => {}
            Existing::Dir => return Err(invalid("a hard link to a directory is refused")),
            Existing::Nothing | Existing::Whiteout => {
                return Err(invalid(format!(
                    "its hard link target {:?} is not in this layer",
                    String::from_utf8_lossy(&target)
                )));
            }
        }
        let link =
            || rustix::fs::linkat(target_parent, target_name, parent, name, AtFlags::empty());
        match link() {
            Err(Errno::EXIST) => {}
            done => return Ok(done?),
        }
        if same_file((target_parent, target_name), (parent, name))? {
            return Ok(());
        }
        self.tree.remove(parent, name)?;
        Ok(link()?)
    }

    /// Makes something; what has its name already gives way.
    fn replacing<T>(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> io::Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                self.tree.remove(parent, name)?;
                Ok(make()?)
            }
            done => Ok(done?),
        }
    }

    fn set_directory_times(&mut self) -> io::Result<()> {
        for (path, mtime) in std::mem::take(&mut self.directories) {
            let times = times(mtime);
            if path.is_empty() {
                rustix::fs::futimens(self.tree.root(), &times)?;
                continue;
            }
            let (parent, name) = tree::split(&path);
            // Not made if it is missing: a later entry of the same archive took its place.
            let Some(parent) = self.tree.existing_dir(parent)? else {
                continue;
            };
            match rustix::fs::utimensat(&*parent, name, &times, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

fn same_file(a: (BorrowedFd<'_>, &[u8]), b: (BorrowedFd<'_>, &[u8])) -> io::Result<bool> {
    let stat = |(dir, name)| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    let (a, b) = (stat(a)?, stat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}
