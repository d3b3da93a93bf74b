//! Putting files into a stage's file system. Every path is resolved by the kernel as if that were
//! `/`, so that no link of an image leads out of it.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

use image::CancellationToken;
use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom, Timespec, Timestamps, Uid,
        XattrFlags,
    },
    io::Errno,
};

use crate::{
    error::{Error, Result},
    modes::ModeChange,
    select::{Item, Selected},
    tree::{Inode, Meta, Node, Tree},
};

/// Files up to this size are read at once.
const SMALL: u64 = 256 << 10;
/// Links that one path may lead over, as the kernel's own bound.
const MAX_LINKS: usize = 40;
/// Directories held open.
const MAX_OPEN: usize = 64;

/// How files are placed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    /// Their owner; their own, where it means something, when none is said.
    pub owner: Option<(u32, u32)>,
    /// Their mode.
    pub mode: Option<ModeChange>,
}

/// A stage's file system, to put files into.
pub(crate) struct Place<'a> {
    pub root: BorrowedFd<'a>,
    pub cancel: &'a CancellationToken,
    /// Directories by their paths below the root, as asked for.
    open: HashMap<String, Rc<OwnedFd>>,
    /// Times of directories, set when nothing more is made in them.
    times: Vec<(String, (i64, u32))>,
    /// What was made of files with several names: where, and as which inode.
    files: HashMap<Inode, (String, u64)>,
    buffer: Vec<u8>,
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() || name.is_empty() {
        return format!("{dir}{name}");
    }
    format!("{dir}/{name}")
}

/// Opens what is at `path` for whoever lives in `root`.
pub(crate) fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // The kernel saw a rename elsewhere and could not be sure.
            Err(Errno::AGAIN) => {}
            done => return done,
        }
    }
}

impl<'a> Place<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>, cancel: &'a CancellationToken) -> Self {
        Self {
            root,
            cancel,
            open: HashMap::new(),
            times: Vec::new(),
            files: HashMap::new(),
            buffer: Vec::new(),
        }
    }

    /// Opens what is at `path` for whoever lives in the root.
    pub(crate) fn lookup(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        open(self.root, path, flags)
    }

    /// Whether there is a directory, or a link to one.
    pub(crate) fn is_dir(&self, path: &str) -> bool {
        self.lookup(path, OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    /// The directory at `path`, made with its parents where they are missing. Links on the way are
    /// followed as for whoever lives in the root, also those to what is not there yet.
    pub(crate) fn dir(&mut self, path: &str, owner: (u32, u32)) -> Result<Rc<OwnedFd>> {
        if let Some(dir) = self.open.get(path) {
            return Ok(Rc::clone(dir));
        }
        let fail = |e: Errno| writing(path)(e.into());
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = match self.lookup(path, flags) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => {
                let real = self.make(path, owner)?;
                self.lookup(&real, flags).map_err(fail)?
            }
            Err(Errno::NOTDIR) => return Err(no_directory(path)),
            Err(e) => return Err(fail(e)),
        };
        if self.open.len() >= MAX_OPEN {
            self.open.clear();
        }
        let dir = Rc::new(fd);
        self.open.insert(path.to_owned(), Rc::clone(&dir));
        Ok(dir)
    }

    /// Where a file that is put at `path` belongs: where links lead that are there, as whoever lives in
    /// the root sees it. They need not lead to anything.
    pub(crate) fn follow(&self, path: &str) -> Result<String> {
        let fail = |e: Errno| writing(path)(e.into());
        let mut at = path.to_owned();
        for _ in 0..MAX_LINKS {
            let (parent, name) = at.rsplit_once('/').unwrap_or(("", &at));
            if matches!(name, "" | "." | "..") {
                return Err(no_directory(path));
            }
            let dir = match self.lookup(parent, OFlags::PATH | OFlags::DIRECTORY) {
                // It is made, or refused, later.
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(at),
                dir => dir.map_err(fail)?,
            };
            let target = match rustix::fs::readlinkat(&dir, name, Vec::new()) {
                Err(Errno::INVAL | Errno::NOENT) => return Ok(at),
                target => target.map_err(fail)?.to_string_lossy().into_owned(),
            };
            at = match target.strip_prefix('/') {
                Some(absolute) => absolute.trim_start_matches('/').to_owned(),
                None => join(parent, &target),
            };
        }
        Err(Error::invalid(format!("/{path}: too many symbolic links")))
    }

    /// Makes what is missing of `path`; the path without links.
    fn make(&self, path: &str, owner: (u32, u32)) -> Result<String> {
        let fail = |e: Errno| writing(path)(e.into());
        let mut waiting: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = waiting.pop_front() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => {}
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let parent = self.lookup(&done.join("/"), flags).map_err(fail)?;
            let name = part.as_str();
            let stat = match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&parent, name, Mode::from(0o755)).map_err(fail)?;
                    chown(parent.as_fd(), name, owner).map_err(writing(path))?;
                    chmod(parent.as_fd(), name, 0o755).map_err(writing(path))?;
                    done.push(part);
                    continue;
                }
                stat => stat.map_err(fail)?,
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => done.push(part),
                FileType::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Error::invalid(format!("/{path}: too many symbolic links")));
                    }
                    let target = rustix::fs::readlinkat(&parent, name, Vec::new()).map_err(fail)?;
                    let target = target.to_string_lossy().into_owned();
                    if target.starts_with('/') {
                        done.clear();
                    }
                    for part in target.split('/').rev() {
                        waiting.push_front(part.to_owned());
                    }
                }
                _ => return Err(no_directory(path)),
            }
        }
        Ok(done.join("/"))
    }

    /// Places what was selected below the directory `target`, or as `target` if it is one file.
    pub(crate) fn all(
        &mut self,
        tree: &Tree,
        selected: &Selected,
        target: &str,
        attributes: &Attributes,
    ) -> Result<()> {
        let parents_owner = attributes.owner.unwrap_or((0, 0));
        // As with Docker, what two sources name are two files.
        self.files.clear();
        for item in &selected.items {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let path = join(target, &item.place);
            self.item(tree, item, &path, attributes, parents_owner)?;
        }
        Ok(())
    }

    fn item(
        &mut self,
        tree: &Tree,
        item: &Item,
        path: &str,
        attributes: &Attributes,
        parents_owner: (u32, u32),
    ) -> Result<()> {
        let Item { meta, .. } = item;
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.dir(parent, parents_owner)?;
        let dir = dir.as_fd();
        let own = tree.has_owners().then_some((meta.uid, meta.gid));
        let owner = attributes.owner.or(own).unwrap_or((0, 0));
        let change = attributes.mode.as_ref();
        let is_dir = meta.node == Node::Dir;
        let mode = change.map_or(meta.mode, |c| c.apply(meta.mode, is_dir));
        let fail = |e: io::Error| writing(path)(e);
        match &meta.node {
            Node::Dir => {
                match rustix::fs::mkdirat(dir, name, Mode::from(0o700)) {
                    Ok(()) => {}
                    Err(Errno::EXIST) if self.is_dir(path) => {}
                    Err(Errno::EXIST) => {
                        return Err(Error::invalid(format!(
                            "cannot copy a directory to /{path}: there is a file"
                        )));
                    }
                    Err(e) => return Err(fail(e.into())),
                }
                // It may be a link to a directory of the image's, which is kept.
                let made = self
                    .lookup(path, OFlags::RDONLY | OFlags::DIRECTORY)
                    .map_err(|e| fail(e.into()))?;
                let (uid, gid) = ids(owner);
                rustix::fs::fchown(&made, uid, gid).map_err(|e| fail(e.into()))?;
                rustix::fs::fchmod(&made, Mode::from(mode)).map_err(|e| fail(e.into()))?;
                set_xattrs(made.as_fd(), &tree.xattrs(&item.path, meta)).map_err(fail)?;
                self.times.push((path.to_owned(), meta.mtime));
            }
            Node::File { .. } if self.again(dir, name, path, meta)? => {}
            Node::File { size, .. } => {
                let made = self.create(dir, name, path)?;
                self.content(tree, item, *size, &made)
                    .map_err(|e| match e {
                        Error::Cancelled => e,
                        e => Error::invalid(format!("copy to /{path}: {e}")),
                    })?;
                if owner != (0, 0) {
                    let (uid, gid) = ids(owner);
                    rustix::fs::fchown(&made, uid, gid).map_err(|e| fail(e.into()))?;
                }
                // After the owner, whose change takes set-user-id bits away.
                rustix::fs::fchmod(&made, Mode::from(mode)).map_err(|e| fail(e.into()))?;
                set_xattrs(made.as_fd(), &tree.xattrs(&item.path, meta)).map_err(fail)?;
                rustix::fs::futimens(&made, &times(meta.mtime)).map_err(|e| fail(e.into()))?;
                if let Some(inode) = meta.inode {
                    let own = rustix::fs::fstat(&made).map_err(|e| fail(e.into()))?.st_ino;
                    self.files.insert(inode, (path.to_owned(), own));
                }
            }
            Node::Symlink(link) => {
                self.replacing(dir, name, path, || {
                    rustix::fs::symlinkat(link.as_str(), dir, name)
                })?;
                chown(dir, name, owner).map_err(fail)?;
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(dir, name, &times(meta.mtime), flags)
                    .map_err(|e| fail(e.into()))?;
            }
            Node::Special(kind, number) => {
                self.replacing(dir, name, path, || {
                    rustix::fs::mknodat(dir, name, *kind, Mode::from(0o600), *number)
                })?;
                chown(dir, name, owner).map_err(fail)?;
                chmod(dir, name, mode).map_err(fail)?;
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(dir, name, &times(meta.mtime), flags)
                    .map_err(|e| fail(e.into()))?;
            }
        }
        Ok(())
    }

    /// Gives a file that was placed already one more name; whether there is such a file.
    fn again(&self, dir: BorrowedFd<'_>, name: &str, path: &str, meta: &Meta) -> Result<bool> {
        let Some((first, inode)) = meta.inode.and_then(|inode| self.files.get(&inode)) else {
            return Ok(false);
        };
        let (parent, first) = first.rsplit_once('/').unwrap_or(("", first));
        let Ok(parent) = self.lookup(parent, OFlags::PATH | OFlags::DIRECTORY) else {
            return Ok(false);
        };
        // Another item may have taken its place, where a link of the image's makes two paths one.
        let there = rustix::fs::statat(&parent, first, AtFlags::SYMLINK_NOFOLLOW);
        if !there.is_ok_and(|stat| stat.st_ino == *inode) {
            return Ok(false);
        }
        let mut made = Ok(());
        self.replacing(dir, name, path, || {
            made = rustix::fs::linkat(&parent, first, dir, name, AtFlags::empty());
            match made {
                // It has as many names as it can, or the two are on two disks.
                Err(Errno::MLINK | Errno::XDEV) => Ok(()),
                made => made,
            }
        })?;
        Ok(made.is_ok())
    }

    fn create(&self, dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<OwnedFd> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.replacing(dir, name, path, || {
            rustix::fs::openat(dir, name, flags, Mode::from(0o600))
        })
    }

    /// Makes something; a file that has its name gives way, a directory does not.
    fn replacing<T>(
        &self,
        dir: BorrowedFd<'_>,
        name: &str,
        path: &str,
        mut make: impl FnMut() -> rustix::io::Result<T>,
    ) -> Result<T> {
        let fail = |e: Errno| writing(path)(e.into());
        match make() {
            Err(Errno::EXIST) => {
                match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
                    Err(Errno::ISDIR) => {
                        return Err(Error::invalid(format!(
                            "cannot copy a file to /{path}: there is a directory"
                        )));
                    }
                    removed => removed.map_err(fail)?,
                }
                make().map_err(fail)
            }
            done => done.map_err(fail),
        }
    }

    fn content(&mut self, tree: &Tree, item: &Item, size: u64, to: &OwnedFd) -> Result<()> {
        let mut source = tree.open(&item.path, &item.meta)?;
        let fail = |e| Error::io("copy")(e);
        let mut file = File::from(to.try_clone().map_err(Error::io("copy"))?);
        if size <= SMALL {
            self.buffer.clear();
            let copied = Read::by_ref(&mut source)
                .take(SMALL)
                .read_to_end(&mut self.buffer);
            let copied = copied.and_then(|_| file.write_all(&self.buffer));
            copied.map_err(Error::io("copy"))?;
            if (self.buffer.len() as u64) < SMALL {
                return Ok(());
            }
        }
        // Holes stay holes: only what lies between them is copied.
        let seek = |file: &File, to| rustix::fs::seek(file, to).map_err(|e| fail(e.into()));
        let mut at = 0;
        loop {
            at = match rustix::fs::seek(&source, SeekFrom::Data(at)) {
                Ok(start) => start,
                Err(Errno::NXIO) => break,
                Err(e) => return Err(fail(e.into())),
            };
            let end = seek(&source, SeekFrom::Hole(at))?;
            seek(&source, SeekFrom::Start(at))?;
            seek(&file, SeekFrom::Start(at))?;
            while at < end {
                if self.cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                // By the kernel, in pieces that a cancelled build does not wait long for.
                let piece = (end - at).min(64 << 20);
                match io::copy(&mut (&mut source).take(piece), &mut file).map_err(fail)? {
                    0 => break,
                    length => at += length,
                }
            }
        }
        file.set_len(size).map_err(fail)
    }

    /// Gives directories their times. After everything else.
    pub(crate) fn finish(&mut self) -> Result<()> {
        for (path, mtime) in std::mem::take(&mut self.times) {
            let dir = self.lookup(&path, OFlags::RDONLY | OFlags::DIRECTORY);
            let set = dir.and_then(|dir| rustix::fs::futimens(&dir, &times(mtime)));
            set.map_err(|e| writing(&path)(e.into()))?;
        }
        Ok(())
    }
}

fn no_directory(path: &str) -> Error {
    Error::invalid(format!(
        "cannot copy to /{path}: it, or what it is in, is no directory"
    ))
}

fn writing(path: &str) -> impl FnOnce(io::Error) -> Error {
    Error::io(format!("copy to /{path}"))
}

fn ids((uid, gid): (u32, u32)) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

fn chown(dir: BorrowedFd<'_>, name: &str, owner: (u32, u32)) -> io::Result<()> {
    if owner == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = ids(owner);
    Ok(rustix::fs::chownat(
        dir,
        name,
        uid,
        gid,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn chmod(dir: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<()> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Ok(());
    }
    Ok(rustix::fs::chmodat(
        dir,
        name,
        Mode::from(mode),
        AtFlags::empty(),
    )?)
}

fn set_xattrs(file: BorrowedFd<'_>, all: &[(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
    for (name, value) in all {
        rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty())?;
    }
    Ok(())
}

fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
