//! Making files of an archive below a directory and nowhere else.
//!
//! The archive's paths begin at a directory `dest`, which is somewhere below a root; links on the
//! way lead where they lead for whoever lives in that root, and never out of it.

use std::io::{self, BufRead};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, XattrFlags};
use rustix::io::Errno;

use crate::acl;
use crate::attributes::{apply, apply_by_name, times};
use crate::content::{make_node, write_content, write_with_holes};
use crate::pack::Ids;
use crate::path::{clean, split};
use crate::read::{Header, Kind, TarReader};
use crate::remove::{Mounted, remove_all};

/// Entries that one archive may have.
const MAX_ENTRIES: u64 = 20_000_000;
/// Bytes of the paths of directories whose times are set at the end; what is more keeps the times
/// it was made at.
const MAX_TIMES: usize = 64 << 20;

/// Gives an entry another path, or none.
pub type Rename<'a> = &'a (dyn Fn(&[u8]) -> Option<Vec<u8>> + Sync);

/// How and where an archive is placed.
pub struct Placer<'a> {
    /// What is `/` for every link.
    pub root: BorrowedFd<'a>,
    /// Where the archive's paths begin, below the root.
    pub dest: Vec<u8>,
    /// Refuse to put a directory in the place of something else, and the other way round.
    pub keep_kinds: bool,
    /// Turns an owner in the archive into one on the host; none leaves files to their maker.
    pub ids: Option<Ids<'a>>,
    /// Renames an entry; an archive of one file is so placed under another name. None leaves the
    /// entry out.
    pub rename: Option<Rename<'a>>,
    /// The archive is all of a directory, from whoever: the directory becomes what the archive says
    /// of itself, long runs of zeros become holes, and devices are refused.
    pub whole: bool,
}

/// What a directory gets when nothing more is made in it.
struct Late {
    path: Vec<u8>,
    mtime: (i64, u32),
    /// Whoever may what in files that are made there: those of the archive say it themselves.
    acl: Option<Vec<u8>>,
}

/// What directories get at the end.
#[derive(Default)]
struct Times {
    all: Vec<Late>,
    bytes: usize,
}

impl Times {
    fn push(&mut self, path: Vec<u8>, mtime: (i64, u32), acl: Option<Vec<u8>>) -> io::Result<()> {
        let own = acl.as_ref().map_or(0, Vec::len);
        self.bytes += path.len() + own + size_of::<Late>();
        if self.bytes <= MAX_TIMES {
            self.all.push(Late { path, mtime, acl });
        } else if acl.is_some() {
            return Err(invalid("there are too many access lists of directories"));
        }
        Ok(())
    }
}

/// Takes the list out that files made in a directory get.
fn take_default(header: &mut Header) -> Option<Vec<u8>> {
    let at = header
        .xattrs
        .iter()
        .position(|(key, _)| key == acl::DEFAULT)?;
    Some(header.xattrs.swap_remove(at).1)
}

impl Placer<'_> {
    /// Places all of the archive.
    ///
    /// # Errors
    /// When the archive is damaged or leads out of `dest`, or the kernel refuses something; what
    /// was made by then stays.
    pub fn place(&self, source: impl BufRead) -> io::Result<()> {
        let mut tar = TarReader::new(source);
        let mut entries = 0_u64;
        let mut directories = Times::default();
        while let Some(mut header) = tar.next()? {
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(invalid("the archive has too many entries"));
            }
            if let Some(rename) = self.rename {
                match rename(&header.path) {
                    Some(path) => header.path = path,
                    None => continue,
                }
            }
            if let Some(ids) = self.ids {
                (header.uid, header.gid) = ids(header.uid, header.gid);
                let lists = header.xattrs.iter_mut().filter(|(key, _)| acl::is_acl(key));
                lists.for_each(|(_, value)| acl::map(value, ids));
            }
            self.entry(&mut header, &mut tar, &mut directories)
                .map_err(|e| self.named(&header, e))?;
        }
        for late in directories.all.into_iter().rev() {
            self.directory_end(&late)?;
        }
        tar.drain().map(drop)
    }

    fn entry<R: BufRead>(
        &self,
        header: &mut Header,
        tar: &mut TarReader<R>,
        directories: &mut Times,
    ) -> io::Result<()> {
        let default_acl = match header.kind {
            Kind::Dir => take_default(header),
            _ => None,
        };
        let header = &*header;
        let path = clean(&header.path)
            .ok_or_else(|| invalid("it leads out of the destination, which is refused"))?;
        if path.is_empty() {
            if header.kind != Kind::Dir {
                return Err(invalid("the destination is a directory and stays one"));
            }
            if self.whole {
                let dir = self.open_dir(b"")?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let dir = rustix::fs::openat(&dir, ".", flags, Mode::empty())?;
                self.attributes(dir.as_fd(), header)?;
                return directories.push(path, header.mtime, default_acl);
            }
            // Otherwise as Docker: what is there keeps its mode and owner.
            return Ok(());
        }
        let (parent_path, name) = split(&path);
        let parent = self.parent(parent_path)?;
        let parent = parent.as_fd();
        match header.kind {
            Kind::Dir => {
                self.directory(parent, name, header)?;
                directories.push(path, header.mtime, default_acl)
            }
            Kind::File => self.file(parent, name, header, tar),
            Kind::HardLink => self.hard_link(parent, name, header),
            Kind::Symlink => {
                if header.link.is_empty() {
                    return Err(invalid("a symbolic link has no target"));
                }
                self.replacing(parent, name, || {
                    rustix::fs::symlinkat(header.link.as_slice(), parent, name)
                })?;
                apply_by_name(parent, name, header, self.ids.is_some())
            }
            Kind::Char | Kind::Block if self.whole => Err(invalid("a device is refused")),
            Kind::Char | Kind::Block | Kind::Fifo => {
                self.replacing(parent, name, || make_node(parent, name, header))?;
                apply_by_name(parent, name, header, self.ids.is_some())
            }
        }
    }

    /// The directory at a cleaned path of the archive, made with its parents where missing.
    fn parent(&self, path: &[u8]) -> io::Result<OwnedFd> {
        match self.open_dir(path) {
            Ok(dir) => Ok(dir),
            Err(Errno::NOENT) if !path.is_empty() => {
                let (above, name) = split(path);
                let above = self.parent(above)?;
                match rustix::fs::mkdirat(&above, name, Mode::from(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(e) => return Err(e.into()),
                }
                if let Some(ids) = self.ids {
                    let (uid, gid) = ids(0, 0);
                    let owner = (
                        rustix::fs::Uid::from_raw(uid),
                        rustix::fs::Gid::from_raw(gid),
                    );
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    rustix::fs::chownat(&above, name, Some(owner.0), Some(owner.1), flags)?;
                }
                Ok(self.open_dir(path)?)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn open_dir(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let whole = match (self.dest.is_empty(), path.is_empty()) {
            (true, true) => b".".to_vec(),
            (true, false) => path.to_vec(),
            (false, true) => self.dest.clone(),
            (false, false) => [self.dest.as_slice(), b"/", path].concat(),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(self.root, &whole, flags, Mode::empty(), resolve) {
                // The kernel saw a rename elsewhere and could not be sure.
                Err(Errno::AGAIN) => {}
                done => return done,
            }
        }
    }

    fn directory(&self, parent: BorrowedFd<'_>, name: &[u8], header: &Header) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::mkdirat(parent, name, Mode::from(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) if is_dir(parent, name)? => {}
            Err(Errno::EXIST) => {
                if self.keep_kinds {
                    return Err(io::Error::other(format!(
                        "cannot overwrite non-directory {:?} with directory {:?}",
                        String::from_utf8_lossy(name),
                        String::from_utf8_lossy(&header.path)
                    )));
                }
                remove_all(parent, name)?;
                rustix::fs::mkdirat(parent, name, Mode::from(0o700))?;
            }
            Err(e) => return Err(e.into()),
        }
        let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        self.attributes(dir.as_fd(), header)
    }

    fn file<R: BufRead>(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        header: &Header,
        tar: &mut TarReader<R>,
    ) -> io::Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.replacing(parent, name, || {
            rustix::fs::openat(parent, name, flags, Mode::from(0o600))
        })?;
        if self.whole && header.sparse.is_none() {
            write_with_holes(&file, tar)?;
        } else {
            write_content(&file, header, tar)?;
        }
        self.attributes(file.as_fd(), header)?;
        Ok(rustix::fs::futimens(&file, &times(header.mtime))?)
    }

    fn hard_link(&self, parent: BorrowedFd<'_>, name: &[u8], header: &Header) -> io::Result<()> {
        let target = match self.rename {
            Some(rename) => rename(&header.link),
            None => Some(header.link.clone()),
        };
        let target = target
            .and_then(|target| clean(&target))
            .filter(|target| !target.is_empty())
            .ok_or_else(|| {
                invalid("a hard link's target leads out of the destination, which is refused")
            })?;
        let (target_parent, target_name) = split(&target);
        let target_parent = self.open_dir(target_parent)?;
        let stat = rustix::fs::statat(&target_parent, target_name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(invalid("a hard link to a directory is refused"));
        }
        if let Ok(own) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            && (own.st_dev, own.st_ino) == (stat.st_dev, stat.st_ino)
        {
            return Ok(());
        }
        self.replacing(parent, name, || {
            rustix::fs::linkat(&target_parent, target_name, parent, name, AtFlags::empty())
        })
    }

    /// Makes something; what has its name already gives way.
    fn replacing<T>(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> io::Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                if self.keep_kinds && is_dir(parent, name)? {
                    return Err(io::Error::other(format!(
                        "cannot overwrite directory {:?} with non-directory",
                        String::from_utf8_lossy(name)
                    )));
                }
                remove_all(parent, name)?;
                Ok(make()?)
            }
            done => Ok(done?),
        }
    }

    /// Adds the entry's name; keeps the kind, by which a full disk is told from a bad archive.
    fn named(&self, header: &Header, error: io::Error) -> io::Error {
        let kind = error.kind();
        let mounted = error.get_ref().and_then(|e| e.downcast_ref::<Mounted>());
        if let Some(Mounted(below)) = mounted
            && let Some(path) = clean(&header.path)
        {
            // As whoever lives in the root would call it.
            let (parent, _) = split(&path);
            let names = [self.dest.as_slice(), parent, below].into_iter();
            let names = names.filter(|name| !name.is_empty());
            let whole = names
                .flat_map(|name| [b"/".as_slice(), name].concat())
                .collect();
            return Mounted(whole).into();
        }
        let text = format!("{}: {error}", String::from_utf8_lossy(&header.path));
        io::Error::new(kind, text)
    }

    fn attributes(&self, file: BorrowedFd<'_>, header: &Header) -> io::Result<()> {
        if self.ids.is_some() {
            return apply(file, header);
        }
        // As its maker's: without set-user-id bits, which were another's.
        Ok(rustix::fs::fchmod(file, Mode::from(header.mode & 0o777))?)
    }

    fn directory_end(&self, late: &Late) -> io::Result<()> {
        let times = times(late.mtime);
        if late.path.is_empty() || late.acl.is_some() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let (parent, name) = match late.path.is_empty() {
                true => (self.open_dir(b""), b".".as_slice()),
                false => {
                    let (parent, name) = split(&late.path);
                    (self.open_dir(parent), name)
                }
            };
            let opened =
                parent.and_then(|parent| rustix::fs::openat(&parent, name, flags, Mode::empty()));
            let dir = match opened {
                // A later entry took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                opened => opened?,
            };
            if let Some(acl) = late.acl.as_ref().filter(|_| self.ids.is_some()) {
                let flags = XattrFlags::empty();
                match rustix::fs::fsetxattr(&dir, acl::DEFAULT, acl, flags) {
                    Err(Errno::OPNOTSUPP) => tracing::debug!("an access list is left out"),
                    done => done?,
                }
            }
            return Ok(rustix::fs::futimens(&dir, &times)?);
        }
        let (parent, name) = split(&late.path);
        let Ok(parent) = self.open_dir(parent) else {
            // A later entry took its place.
            return Ok(());
        };
        match rustix::fs::utimensat(&parent, name, &times, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

fn is_dir(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}
