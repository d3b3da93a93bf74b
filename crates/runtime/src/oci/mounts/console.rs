//! The container's terminal.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::pty::OpenptFlags;

use super::Plan;
use super::place::is_device;
use super::resolve::{make_file, ordinary_directory};
use super::tree::Tree;
use crate::oci::error::{Context as _, Error, Result};

/// Major numbers of pseudo terminals.
const PTY_MAJORS: std::ops::RangeInclusive<u32> = 136..=143;

impl Plan {
    /// A new terminal of the container's own devpts: the side that is kept outside, and the one
    /// for the process. No path of `/dev/pts` is involved.
    ///
    /// # Errors
    /// When there is no devpts, or it has no terminal left.
    pub fn open_pty(&self) -> Result<(OwnedFd, OwnedFd)> {
        let about = || "open a terminal of the container's /dev/pts";
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = match &self.inside.devpts {
            Some(devpts) => {
                rustix::fs::openat(devpts, "ptmx", flags | OFlags::NOFOLLOW, Mode::empty())
            }
            // A /dev that was bound from elsewhere.
            None => rustix::fs::openat2(
                self.root()?,
                "dev/ptmx",
                flags,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            ),
        }
        .context(about)?;
        if !is_device(master.as_fd(), FileType::CharacterDevice, 5, 2).context(about)? {
            return Err(Error::Unsupported(
                "the container's /dev/ptmx is not what makes terminals".to_owned(),
            ));
        }
        rustix::pty::unlockpt(&master).context(about)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).context(about)?;
        Ok((master, slave))
    }

    /// Binds the process's side of its terminal over `/dev/console`.
    ///
    /// # Errors
    /// When it is no terminal, or the image has something in its way.
    pub fn console(&mut self, slave: BorrowedFd<'_>) -> Result<()> {
        let about = || "bind the terminal to /dev/console";
        let stat = rustix::fs::fstat(slave).context(about)?;
        let is_pty = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && PTY_MAJORS.contains(&rustix::fs::major(stat.st_rdev));
        if !is_pty {
            return Err(Error::State(
                "what is to be /dev/console is not a pseudo terminal".to_owned(),
            ));
        }
        let mut tree = Tree::copy_of(slave, false).context(about)?;
        tree.wish(super::tree::Wish::private(), self.kernel)
            .context(about)?;
        let found;
        let dev = match &self.inside.dev {
            Some(dev) => dev.as_fd(),
            None => {
                found = ordinary_directory(self.root()?, Path::new("dev")).context(about)?;
                found.as_fd()
            }
        };
        let target = make_file(dev, OsStr::new("console")).context(about)?;
        tree.attach(target.as_fd(), &self.inside.old).context(about)
    }
}
