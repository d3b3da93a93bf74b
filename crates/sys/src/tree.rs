//! A tree of mounts that nobody else sees: a root and what is attached below it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, MoveMountFlags};
use rustix::thread::UnshareFlags;

/// A mount namespace with one tree in it; the mounts go with it.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    _namespace: OwnedFd,
}

impl Tree {
    /// Attaches `root`, a detached mount, at `at` in a namespace of its own; `more` may attach
    /// further ones below the root by [`attach`].
    ///
    /// # Errors
    /// When the kernel refuses, or what `more` answers.
    pub fn new(
        root: &OwnedFd,
        at: &Path,
        more: impl FnOnce(BorrowedFd<'_>) -> io::Result<()> + Send,
    ) -> io::Result<Self> {
        let work = || {
            // SAFETY: this thread was started for this call alone; its own mount namespace and
            // fs_struct change nothing for other threads.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }?;
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", private)?;
            let empty = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            rustix::mount::move_mount(root, "", CWD, at, empty)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open(at, flags, Mode::empty())?;
            more(root.as_fd())?;
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let namespace = rustix::fs::open("/proc/thread-self/ns/mnt", flags, Mode::empty())?;
            Ok(Self {
                root,
                _namespace: namespace,
            })
        };
        std::thread::scope(|scope| {
            let made = std::thread::Builder::new()
                .name("mount-tree".to_owned())
                .spawn_scoped(scope, work)?;
            made.join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that mounts panicked")))
        })
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Attaches a detached mount at an open directory or file.
///
/// # Errors
/// When the kernel refuses.
pub fn attach(mount: BorrowedFd<'_>, at: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(mount, "", at, "", flags)?)
}
