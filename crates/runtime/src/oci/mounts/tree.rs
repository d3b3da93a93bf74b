//! A piece of a mount tree, held by a descriptor until it is attached, and what is asked of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
};
use sys::mount::Change;

use super::options::{Attrs, MS_SHARED, MS_SLAVE, Propagation};
use super::resolve::Kind;

/// What a mount is to be like.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) attrs: Attrs,
    pub(super) rec_attrs: Attrs,
    pub(super) propagation: Option<Propagation>,
    /// Maps identities, with `ridmap` in all mounts below too.
    pub(super) userns: Option<(OwnedFd, bool)>,
}

impl Wish {
    /// To have nothing to do with the mount that it is a copy of.
    pub(super) fn private() -> Self {
        Self {
            propagation: Some(Propagation::PRIVATE),
            ..Self::default()
        }
    }
}

/// A mount, or several, in a descriptor.
#[derive(Debug)]
pub(super) struct Tree {
    fd: OwnedFd,
    spare: Option<OwnedFd>,
    recursive: bool,
    /// What is still to be done when it is attached, on kernels that cannot do it before.
    later: Option<Wish>,
}

impl Tree {
    /// A copy of what is at a path, attached nowhere.
    pub(super) fn copy(path: &Path, recursive: bool) -> io::Result<Self> {
        Self::clone_at(CWD, path, OpenTreeFlags::empty(), recursive)
    }

    /// A copy of what a descriptor holds.
    pub(super) fn copy_of(fd: BorrowedFd<'_>, recursive: bool) -> io::Result<Self> {
        Self::clone_at(fd, Path::new(""), OpenTreeFlags::AT_EMPTY_PATH, recursive)
    }

    /// A copy of what has a name in a directory, which is not followed if it is a link.
    pub(super) fn copy_at(dir: BorrowedFd<'_>, name: &str, recursive: bool) -> io::Result<Self> {
        let flags = OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        Self::clone_at(dir, Path::new(name), flags, recursive)
    }

    fn clone_at(
        dir: BorrowedFd<'_>,
        path: &Path,
        mut flags: OpenTreeFlags,
        recursive: bool,
    ) -> io::Result<Self> {
        flags |= OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        if recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        let fd = rustix::mount::open_tree(dir, path, flags)?;
        Ok(Self {
            fd,
            spare: None,
            recursive,
            later: None,
        })
    }

    /// A new file system's mount.
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            spare: None,
            recursive: false,
            later: None,
        }
    }

    /// Keeps a descriptor that was needed to make it, to be closed with others.
    pub(super) fn with_spare(mut self, spare: OwnedFd) -> Self {
        self.spare = Some(spare);
        self
    }

    /// What [`Self::with_spare`] was given.
    pub(super) fn take_spare(&mut self) -> Option<OwnedFd> {
        self.spare.take()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    pub(super) fn kind(&self) -> io::Result<Kind> {
        let stat = rustix::fs::statx(&self.fd, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
        Ok(match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::Directory => Kind::Directory,
            _ => Kind::File,
        })
    }

    /// Does what is wished, now or once it is attached.
    pub(super) fn wish(&mut self, wish: Wish, kernel: Kernel) -> io::Result<()> {
        if kernel.setattr {
            match self.set_attributes(&wish) {
                Err(e) if e.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) => {}
                done => return done,
            }
        }
        if wish.userns.is_some() {
            return Err(unsupported("an id-mapped mount needs Linux 5.12"));
        }
        if self.recursive && !wish.rec_attrs.is_empty() {
            return Err(unsupported("recursive mount attributes need Linux 5.12"));
        }
        self.later = Some(wish);
        Ok(())
    }

    fn set_attributes(&self, wish: &Wish) -> io::Result<()> {
        let propagation = wish.propagation.map_or(0, |p| p.kind);
        let below = wish.propagation.is_some_and(|p| p.recursive);
        let (userns, userns_below) = match &wish.userns {
            Some((fd, below)) => (Some(fd.as_fd()), *below),
            None => (None, false),
        };
        let mut all = Change {
            set: wish.rec_attrs.set,
            clear: wish.rec_attrs.clear,
            recursive: self.recursive,
            ..Change::default()
        };
        let mut top = Change {
            set: wish.attrs.set,
            clear: wish.attrs.clear,
            ..Change::default()
        };
        let place = if below { &mut all } else { &mut top };
        place.propagation = propagation;
        if !below && propagation != 0 && propagation != MS_SHARED {
            // What lies below is a copy of the host's too, and must not tell the host anything.
            all.propagation = MS_SLAVE;
        }
        let place = if userns_below { &mut all } else { &mut top };
        place.userns = userns;
        if !self.recursive {
            // One mount only: both in one call. What is said of the mount itself counts more.
            top.set |= all.set & !top.clear;
            top.clear |= all.clear & !top.set;
            top.propagation = propagation;
            top.userns = userns;
            all = Change::default();
        }
        for change in [all, top] {
            let nothing = change.set == 0
                && change.clear == 0
                && change.propagation == 0
                && change.userns.is_none();
            if !nothing {
                sys::mount::setattr(self.fd(), change)?;
            }
        }
        Ok(())
    }

    /// Attaches it onto what a descriptor holds.
    pub(super) fn attach(&mut self, to: BorrowedFd<'_>, old: &OldWay) -> io::Result<()> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&self.fd, "", to, "", flags)?;
        self.attached(old)
    }

    /// Attaches it at a name in a directory that nobody else can change; a link there is not
    /// followed.
    pub(super) fn attach_at(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &str,
        old: &OldWay,
    ) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&self.fd, "", dir, name, flags)?;
        self.attached(old)
    }

    fn attached(&mut self, old: &OldWay) -> io::Result<()> {
        let Some(wish) = self.later.take() else {
            return Ok(());
        };
        if let Some(propagation) = wish.propagation {
            old.propagation(self.fd(), propagation)?;
        }
        let mut attrs = wish.rec_attrs;
        attrs.set |= wish.attrs.set;
        attrs.clear |= wish.attrs.clear;
        if attrs.is_empty() {
            return Ok(());
        }
        old.remount(self.fd(), attrs)
    }
}

fn unsupported(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}

/// What this kernel can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    /// `mount_setattr`; assumed until it says `ENOSYS`.
    pub(super) setattr: bool,
}

/// Changing attached mounts by mount(2), as kernels before 5.12 must. That call takes paths only:
/// `self/fd/N`, from a `/proc` that was opened while the host's was there.
#[derive(Debug, Default)]
pub(super) struct OldWay {
    proc: Option<OwnedFd>,
    /// Where to be afterwards.
    home: Option<OwnedFd>,
}

impl OldWay {
    /// To be made while the host's `/proc` is where it belongs.
    pub(super) fn new(proc: OwnedFd) -> Self {
        Self {
            proc: Some(proc),
            home: None,
        }
    }

    /// Makes a directory the one to come back to after each call.
    pub(super) fn come_home_to(&mut self, home: BorrowedFd<'_>) -> io::Result<()> {
        if self.proc.is_some() {
            self.home = Some(rustix::io::fcntl_dupfd_cloexec(home, 3)?);
        }
        Ok(())
    }

    fn at(&self, fd: BorrowedFd<'_>, call: impl FnOnce(&str) -> io::Result<()>) -> io::Result<()> {
        let proc = self.proc.as_ref().ok_or(Errno::NOSYS)?;
        rustix::process::fchdir(proc)?;
        let done = call(&format!("self/fd/{}", fd.as_raw_fd()));
        if let Some(home) = &self.home {
            rustix::process::fchdir(home)?;
        }
        done
    }

    pub(super) fn propagation(
        &self,
        mount: BorrowedFd<'_>,
        propagation: Propagation,
    ) -> io::Result<()> {
        let mut flags = MountPropagationFlags::from_bits_retain(
            u32::try_from(propagation.kind).unwrap_or_default(),
        );
        if propagation.recursive {
            flags |= MountPropagationFlags::REC;
        }
        self.at(mount, |path| {
            rustix::mount::mount_change(path, flags).map_err(Into::into)
        })
    }

    /// A remount replaces all flags, so those that are there are given again.
    pub(super) fn remount(&self, mount: BorrowedFd<'_>, attrs: Attrs) -> io::Result<()> {
        let have = current(mount)?;
        let want = have & !attrs.clear | attrs.set;
        self.at(mount, |path| {
            rustix::mount::mount_remount(path, MountFlags::BIND | mount_flags(want), "")
                .map_err(Into::into)
        })
    }
}

/// The attributes that a mount has, as `MOUNT_ATTR_*`.
fn current(mount: BorrowedFd<'_>) -> io::Result<u64> {
    use MountAttrFlags as A;
    // Numbers of statfs(2); rustix has no names for the last ones.
    let flags = rustix::fs::fstatvfs(mount)?.f_flag.bits();
    let mut attrs = A::empty();
    for (bit, attr) in [
        (0x1, A::MOUNT_ATTR_RDONLY),
        (0x2, A::MOUNT_ATTR_NOSUID),
        (0x4, A::MOUNT_ATTR_NODEV),
        (0x8, A::MOUNT_ATTR_NOEXEC),
        (0x400, A::MOUNT_ATTR_NOATIME),
        (0x800, A::MOUNT_ATTR_NODIRATIME),
        (0x2000, A::MOUNT_ATTR_NOSYMFOLLOW),
    ] {
        if flags & bit != 0 {
            attrs |= attr;
        }
    }
    if flags & (0x400 | 0x1000) == 0 {
        attrs |= A::MOUNT_ATTR_STRICTATIME;
    }
    Ok(attrs.bits().into())
}

fn mount_flags(attrs: u64) -> MountFlags {
    use MountAttrFlags as A;
    let attrs = A::from_bits_retain(u32::try_from(attrs).unwrap_or_default());
    let mut flags = MountFlags::empty();
    for (attr, flag) in [
        (A::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
        (A::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
        (A::MOUNT_ATTR_NODEV, MountFlags::NODEV),
        (A::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
        (A::MOUNT_ATTR_NOATIME, MountFlags::NOATIME),
        (A::MOUNT_ATTR_STRICTATIME, MountFlags::STRICTATIME),
        (A::MOUNT_ATTR_NODIRATIME, MountFlags::NODIRATIME),
        (A::MOUNT_ATTR_NOSYMFOLLOW, MountFlags::NOSYMFOLLOW),
    ] {
        if attrs.contains(attr) {
            flags |= flag;
        }
    }
    if !flags.intersects(MountFlags::NOATIME | MountFlags::STRICTATIME) {
        flags |= MountFlags::RELATIME;
    }
    flags
}
