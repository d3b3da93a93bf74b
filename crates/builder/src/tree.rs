//! Where files are copied from: a context, or the file system of a stage or an image. Paths are
//! relative to its root, `""` being the root itself; links lead nowhere but inside.

use std::{
    collections::VecDeque,
    fs::File,
    hash::{DefaultHasher, Hash, Hasher as _},
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use image::{CancellationToken, Digest, Hasher, Step};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use types::build::EntryKind;

use crate::{
    contexts::{Context, Contexts},
    error::{Error, Result},
};

/// Links that one path may lead over, as the kernel's own bound.
const MAX_LINKS: usize = 40;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    File {
        size: u64,
        digest: Option<Digest>,
    },
    Dir,
    Symlink(String),
    /// A device or pipe: its kind and number.
    Special(FileType, u64),
}

/// A file and what is to be told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub node: Node,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    /// Of a file with several names: what they have in common.
    pub inode: Option<Inode>,
}

/// Tells the names of one file from those of others.
pub(crate) type Inode = (u64, u64);

/// Files to copy from.
pub(crate) enum Tree {
    /// Of a client's.
    Context(Arc<Context>, Arc<Contexts>),
    /// Of a stage or an image, mounted nowhere.
    Mount(Mounted),
}

/// A stage's or image's file system.
pub(crate) struct Mounted {
    pub root: OwnedFd,
    pub cancel: CancellationToken,
    /// What keeps it.
    pub _step: Step,
}

impl Tree {
    /// Whether owners of its files mean something.
    pub(crate) fn has_owners(&self) -> bool {
        matches!(self, Self::Mount(_))
    }

    /// What has this path, where no link is followed at its end.
    pub(crate) fn stat(&self, path: &str) -> Result<Option<Meta>> {
        match self {
            Self::Context(context, _) => {
                if path.is_empty() {
                    return Ok(Some(root_of_context()));
                }
                Ok(context.entries.get(path).map(context_meta))
            }
            Self::Mount(mounted) => mounted.stat(path).map_err(reading(path)),
        }
    }

    /// The path without links on the way, and what is there; nothing where nothing is. The last
    /// part is followed, too, if `last`.
    pub(crate) fn resolve(&self, path: &str, last: bool) -> Result<Option<(String, Meta)>> {
        let mut waiting: VecDeque<String> = parts(path);
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        let mut found = self.stat("")?;
        while let Some(part) = waiting.pop_front() {
            match part.as_str() {
                "." => continue,
                ".." => {
                    done.pop();
                    found = self.stat(&done.join("/"))?;
                    continue;
                }
                _ => {}
            }
            if found.as_ref().is_none_or(|m| m.node != Node::Dir) {
                return Ok(None);
            }
            done.push(part);
            found = self.stat(&done.join("/"))?;
            if let Some(Node::Symlink(target)) = found.as_ref().map(|m| &m.node)
                && (last || !waiting.is_empty())
            {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::invalid(format!("/{path}: too many symbolic links")));
                }
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                for part in parts(target).into_iter().rev() {
                    waiting.push_front(part);
                }
                found = self.stat(&done.join("/"))?;
            }
        }
        Ok(found.map(|meta| (done.join("/"), meta)))
    }

    /// All that is below a directory, parents before what they hold, in the order of the paths.
    /// `path` is one without links. `visit` says of directories whether to look below.
    pub(crate) fn walk(
        &self,
        path: &str,
        visit: &mut dyn FnMut(&str, &Meta) -> Result<bool>,
    ) -> Result<()> {
        match self {
            Self::Context(context, _) => {
                let below = if path.is_empty() {
                    String::new()
                } else {
                    format!("{path}/")
                };
                let mut skip: Option<String> = None;
                for (entry, meta) in context.entries.range(below.clone()..) {
                    if !entry.starts_with(&below) {
                        break;
                    }
                    if skip.as_ref().is_some_and(|s| entry.starts_with(s)) {
                        continue;
                    }
                    let meta = context_meta(meta);
                    if !visit(entry, &meta)? && meta.node == Node::Dir {
                        skip = Some(format!("{entry}/"));
                    }
                }
                Ok(())
            }
            Self::Mount(mounted) => mounted.walk(path, visit),
        }
    }

    /// Opens a file by its path without links.
    pub(crate) fn open(&self, path: &str, meta: &Meta) -> Result<File> {
        match self {
            Self::Context(_, contexts) => match &meta.node {
                Node::File {
                    digest: Some(digest),
                    ..
                } => contexts.pool.file(digest),
                _ => Err(Error::invalid(format!("/{path} is no file"))),
            },
            Self::Mount(mounted) => mounted
                .open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)
                .map(File::from)
                .map_err(|e| reading(path)(e.into())),
        }
    }

    /// The digest of a file's content.
    pub(crate) fn digest(&self, path: &str, meta: &Meta) -> Result<Digest> {
        if let Node::File {
            digest: Some(digest),
            ..
        } = &meta.node
        {
            return Ok(digest.clone());
        }
        let mut file = self.open(path, meta)?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Self::Mount(mounted) = self {
                mounted.check()?;
            }
            let length = file.read(&mut buffer).map_err(reading(path))?;
            if length == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(&buffer[..length]);
        }
    }

    /// Attributes of a file or directory that are content.
    pub(crate) fn xattrs(&self, path: &str, meta: &Meta) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Self::Mount(mounted) = self else {
            return Vec::new();
        };
        if !matches!(meta.node, Node::File { .. } | Node::Dir) {
            return Vec::new();
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let Ok(file) = mounted.open(path, flags) else {
            return Vec::new();
        };
        archive::xattrs(file.as_fd())
    }
}

fn reading(path: &str) -> impl FnOnce(io::Error) -> Error {
    Error::io(format!("read /{path} to copy it"))
}

fn parts(path: &str) -> VecDeque<String> {
    let parts = path.split('/').filter(|p| !p.is_empty());
    parts.map(str::to_owned).collect()
}

fn root_of_context() -> Meta {
    Meta {
        node: Node::Dir,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        inode: None,
    }
}

fn context_meta(entry: &types::build::ContextEntry) -> Meta {
    Meta {
        node: match entry.kind {
            EntryKind::Dir => Node::Dir,
            EntryKind::Symlink => Node::Symlink(entry.link.clone()),
            EntryKind::File => Node::File {
                size: entry.size,
                digest: Digest::from_hex(&entry.digest),
            },
        },
        mode: entry.mode,
        uid: 0,
        gid: 0,
        mtime: (entry.mtime, 0),
        inode: linked(entry),
    }
}

/// Of names that the client says are one file, those that are the same in all else.
fn linked(entry: &types::build::ContextEntry) -> Option<Inode> {
    let own = entry.kind == EntryKind::File && !entry.link.is_empty();
    own.then(|| {
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        (0, hasher.finish())
    })
}

impl Mounted {
    fn check(&self) -> Result<()> {
        match self.cancel.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }

    /// Opens a path without links below the root.
    fn open(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            let flags = flags | OFlags::CLOEXEC;
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                // The kernel saw a rename elsewhere and could not be sure.
                Err(Errno::AGAIN) => {}
                done => return done,
            }
        }
    }

    fn stat(&self, path: &str) -> io::Result<Option<Meta>> {
        if path.is_empty() {
            return meta(&rustix::fs::fstat(&self.root)?, || Ok(String::new())).map(Some);
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = match self.open(parent, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => meta(&stat, || link(&parent, name)).map(Some),
            Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn walk(&self, path: &str, visit: &mut dyn FnMut(&str, &Meta) -> Result<bool>) -> Result<()> {
        let mut waiting = vec![path.to_owned()];
        while let Some(dir) = waiting.pop() {
            self.check()?;
            let mut inner = Vec::new();
            for (path, meta) in self.list(&dir).map_err(reading(&dir))? {
                if visit(&path, &meta)? && meta.node == Node::Dir {
                    inner.push(path);
                }
            }
            waiting.extend(inner.into_iter().rev());
        }
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, Meta)>> {
        let fd = self.open(dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut all = Vec::new();
        for entry in Dir::read_from(&fd)? {
            let entry = entry?;
            let name = text(entry.file_name())?;
            if name == "." || name == ".." {
                continue;
            }
            let stat = rustix::fs::statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            let path = if dir.is_empty() {
                name.clone()
            } else {
                format!("{dir}/{name}")
            };
            // Sockets are no content.
            if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
                all.push((path, meta(&stat, || link(&fd, &name))?));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }
}

fn link(parent: &OwnedFd, name: &str) -> io::Result<String> {
    let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
    text(&target)
}

/// Names are text here: another one would be copied as something else.
fn text(name: &std::ffi::CStr) -> io::Result<String> {
    let name = name.to_str().map_err(|_| {
        let shown = name.to_string_lossy();
        io::Error::other(format!(
            "the name {shown:?} is not UTF-8, which is not supported here"
        ))
    })?;
    Ok(name.to_owned())
}

fn meta(stat: &Stat, link: impl FnOnce() -> io::Result<String>) -> io::Result<Meta> {
    let node = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Node::File {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            digest: None,
        },
        FileType::Directory => Node::Dir,
        FileType::Symlink => Node::Symlink(link()?),
        other => Node::Special(other, stat.st_rdev),
    };
    let node_is_file = matches!(node, Node::File { .. });
    Ok(Meta {
        node,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: (
            stat.st_mtime,
            u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        ),
        inode: (stat.st_nlink > 1 && node_is_file).then_some((stat.st_dev, stat.st_ino)),
    })
}
