//! What comes into a volume by way of a directory in it, while containers may have the volume.
//!
//! Such a container may put anything in the place of a name, at any moment: a link to a directory of
//! the host, too. So the two directories are opened once, and everything after goes by these
//! descriptors and through no link. What a container can still bring about is in its own volume.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, Dir, Gid, Mode, OFlags, RenameFlags, Uid},
    io::Errno,
};

use crate::error::{Error, Result};

/// What a new file system of the ext family has in it.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// A volume's directory, held open. Its own path is the host's alone; no container can change it.
pub(crate) struct Place<'a> {
    path: &'a Path,
    dir: OwnedFd,
}

impl<'a> Place<'a> {
    pub(crate) fn open(path: &'a Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|e| Error::path("open the volume's directory", path)(e.into()))?;
        Ok(Self { path, dir })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Whether there is nothing in it but what a new file system has.
    pub(crate) fn is_new(&self) -> Result<bool> {
        let all = names(self.fd()).and_then(|mut all| {
            all.try_fold(true, |new, name| {
                Ok(new && name?.as_slice() == LOST_AND_FOUND)
            })
        });
        all.map_err(Error::path("look through", self.path))
    }

    /// Makes a directory in it for what comes.
    pub(crate) fn make(&self, name: &str) -> Result<OwnedFd> {
        let make = || -> io::Result<OwnedFd> {
            rustix::fs::mkdirat(self.fd(), name, Mode::RWXU)?;
            let part = archive::open_below(self.fd(), name.as_bytes())?;
            // Owner and mode say nothing: file systems may give their own. A directory of a
            // container's that was put in its place is in the volume as well.
            if self.is_elsewhere(&part)? || names(part.as_fd())?.next().is_some() {
                return Err(io::Error::other("something else was put in its place"));
            }
            Ok(part)
        };
        make().map_err(Error::path("create", &self.path.join(name)))
    }

    /// What [`Place::make`] has made, unless it is gone.
    pub(crate) fn find(&self, name: &str) -> Result<Option<OwnedFd>> {
        let find = || match archive::open_below(self.fd(), name.as_bytes()) {
            Ok(part) if self.is_elsewhere(&part)? => Ok(None),
            Ok(part) => Ok(Some(part)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(e.into()),
        };
        find().map_err(Error::path("open", &self.path.join(name)))
    }

    fn is_elsewhere(&self, part: &OwnedFd) -> io::Result<bool> {
        Ok(rustix::fs::fstat(part)?.st_dev != rustix::fs::fstat(&self.dir)?.st_dev)
    }

    /// Removes it with what is left in it, whatever it is by now.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        archive::remove_all(self.fd(), name.as_bytes())
            .map_err(Error::path("remove", &self.path.join(name)))
    }

    /// Moves all that is in `part` into it, which gets its owner and mode. What is there already is
    /// not overwritten: it is an error, or with `theirs` it stays instead.
    pub(crate) fn move_up(&self, part: BorrowedFd<'_>, theirs: bool) -> Result<()> {
        let failed = |e: io::Error| Error::path("put in its place what is for", self.path)(e);
        for name in names(part).map_err(failed)? {
            let name = name.map_err(failed)?;
            if name == LOST_AND_FOUND {
                continue;
            }
            match rename_new(part, self.fd(), &name) {
                Err(Errno::EXIST) if theirs => {}
                // A container has taken it away.
                Err(Errno::NOENT) if theirs => {}
                Err(e) => {
                    let to = self.path.join(String::from_utf8_lossy(&name).as_ref());
                    return Err(Error::path("put in its place", &to)(e.into()));
                }
                Ok(()) => {}
            }
        }
        let give = || -> rustix::io::Result<()> {
            let whole = rustix::fs::fstat(part)?;
            let (uid, gid) = (Uid::from_raw(whole.st_uid), Gid::from_raw(whole.st_gid));
            rustix::fs::fchown(self.fd(), Some(uid), Some(gid))?;
            rustix::fs::fchmod(self.fd(), Mode::from_raw_mode(whole.st_mode & 0o7777))
        };
        give().map_err(|e| Error::path("give its owner and mode to", self.path)(e.into()))
    }
}

/// The names in a directory.
pub(crate) fn names(
    dir: BorrowedFd<'_>,
) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + use<>> {
    let all = Dir::read_from(dir)?.map(|entry| Ok(entry?.file_name().to_bytes().to_vec()));
    Ok(all.filter(|name| !matches!(name.as_deref(), Ok(b"." | b".."))))
}

/// Moves `name` from one directory to another, without overwriting.
fn rename_new(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(from, name, to, name, RenameFlags::NOREPLACE) {
        // A file system that cannot do it in one step, such as NFS.
        Err(Errno::INVAL) => match rustix::fs::statat(to, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(_) => rustix::fs::renameat(from, name, to, name),
        },
        done => done,
    }
}

/// What was written on that file system survives a power cut.
pub(crate) fn sync_fd(dir: BorrowedFd<'_>, path: &Path) -> Result<()> {
    rustix::fs::syncfs(dir).map_err(|e| Error::path("write to disk", path)(e.into()))
}

/// As [`sync_fd`], for a path that no container can change.
pub(crate) fn sync(place: &Path) -> Result<()> {
    let dir = fs::File::open(place).map_err(Error::path("open", place))?;
    sync_fd(dir.as_fd(), place)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A volume, and a directory of the host's with a file of the same name as one that comes.
    fn scene() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (volume, host) = (dir.path().join("volume"), dir.path().join("host"));
        fs::create_dir(&volume).unwrap();
        fs::create_dir(&host).unwrap();
        fs::write(host.join("file"), "the host's").unwrap();
        symlink(&host, volume.join("link")).unwrap();
        (dir, volume, host)
    }

    fn swap(volume: &Path) {
        let (a, b) = (volume.join(".part-1"), volume.join("link"));
        let cwd = rustix::fs::CWD;
        rustix::fs::renameat_with(cwd, &a, cwd, &b, RenameFlags::EXCHANGE).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_a_part_is_not_followed() {
        let (_dir, volume, host) = scene();
        let mode = || fs::metadata(&host).unwrap().permissions().mode();
        let before = mode();
        let place = Place::open(&volume).unwrap();
        let part = place.make(".part-1").unwrap();
        swap(&volume);
        // All later steps, in their order.
        let flags = OFlags::WRONLY | OFlags::CREATE;
        let file = rustix::fs::openat(&part, "file", flags, Mode::RWXU).unwrap();
        drop(file);
        sync_fd(part.as_fd(), &volume).unwrap();
        rustix::fs::fchmod(&part, Mode::from_raw_mode(0o711)).unwrap();
        place.move_up(part.as_fd(), true).unwrap();
        assert!(place.find(".part-1").unwrap().is_none(), "it is a link");
        place.remove(".part-1").unwrap();
        assert_eq!(fs::read(volume.join("file")).unwrap(), b"");
        let own = fs::metadata(&volume).unwrap().permissions().mode();
        assert_eq!(own & 0o777, 0o711);
        assert_eq!(fs::read(host.join("file")).unwrap(), b"the host's");
        assert_eq!(mode(), before);
    }

    #[test]
    fn a_name_that_is_taken_is_not_used() {
        let (_dir, volume, host) = scene();
        let place = Place::open(&volume).unwrap();
        assert!(place.make("link").is_err());
        assert!(place.find("link").unwrap().is_none());
        assert_eq!(fs::read_dir(&host).unwrap().count(), 1);
    }
}
