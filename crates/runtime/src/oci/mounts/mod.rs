//! The container's mount tree.
//!
//! In the order of use:
//!
//! 1. [`Plan::prepare`] before the clone, in the host's mount namespace: everything is judged,
//!    sources are opened as detached copies (so that what the plan holds cannot be exchanged any
//!    more, and goes away with its holder).
//! 2. [`Plan::build`] inside the new namespaces: the tree under the new root, and `/dev`.
//!    (Here `createContainer` hooks run.)
//! 3. [`Plan::pivot`]: the new root is the root and nothing of the host can be reached.
//!    (Here sysctls are written, through [`Plan::proc`].)
//! 4. [`Plan::open_pty`] and [`Plan::console`], if there is a terminal.
//! 5. [`Plan::finish`]: masked and read-only paths, read-only root, propagation.
//!
//! The image is an attacker's, and so may be whoever else writes into it or into a volume now. What
//! follows from that is told in `resolve.rs`: no path inside the container is ever put together
//! as text on the host.

mod cgroup;
mod console;
mod copyup;
mod devices;
mod fresh;
mod idmap;
mod mask;
mod options;
mod place;
mod prepare;
mod resolve;
mod tree;

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use sys::mount::Change;

pub use cgroup::{Cgroups, Hierarchy};

use super::error::{Context as _, Error, Result};
use options::{MS_SLAVE, Options, Propagation};
use tree::{Kernel, OldWay, Tree};

/// What the configuration does not tell.
#[derive(Debug, Default)]
pub struct Context {
    /// The container's cgroups, which exist already.
    pub cgroups: Cgroups,
    /// Whether the container's user namespace is another than ours: then device nodes cannot be
    /// made and are bound from the host's.
    pub user_namespace: bool,
    /// Instead of pivot_root(2), which cannot leave an initramfs, move the new root over the old
    /// one. Weaker: whoever may unmount inside finds what is below.
    pub no_pivot: bool,
    /// As if the kernel had no `mount_setattr` (before Linux 5.12): for tests.
    #[doc(hidden)]
    pub old_kernel: bool,
    /// As if the caller was not allowed to open anything before it is inside: for tests.
    #[doc(hidden)]
    pub ordinary_user: bool,
}

/// What will be mounted.
#[derive(Debug)]
pub struct Plan {
    root: Root,
    items: Vec<Item>,
    devices: Option<devices::Devices>,
    masked: Vec<PathBuf>,
    readonly: Vec<PathBuf>,
    readonly_root: bool,
    /// `linux.rootfsPropagation`.
    propagation: Option<Propagation>,
    label: Option<String>,
    /// The host's `/dev/null`, for masking; opened inside if the parent may not.
    null: Option<Tree>,
    no_pivot: bool,
    kernel: Kernel,
    inside: Inside,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    tree: Option<Tree>,
}

/// One of `mounts`.
#[derive(Debug)]
struct Item {
    /// `mounts[3]`.
    field: String,
    /// As the configuration has it, for messages.
    shown: String,
    /// Cleaned and relative to the root.
    destination: PathBuf,
    source: Source,
    options: Options,
}

#[derive(Debug)]
enum Source {
    /// A path of the host: opened, or to be opened inside.
    Bind {
        path: PathBuf,
        tree: Option<Tree>,
        userns: Option<OwnedFd>,
    },
    /// A new file system.
    Fresh { fs: String, source: Option<String> },
    /// A tmpfs with the container's cgroup of each hierarchy in it.
    CgroupV1(Vec<cgroup::Part>),
}

/// What is known inside.
#[derive(Debug, Default)]
struct Inside {
    root: Option<OwnedFd>,
    /// The mount at `/proc`, if it is procfs.
    proc: Option<OwnedFd>,
    /// The device of each procfs mounted, on which nothing else may be put.
    procfs: Option<(u32, u32)>,
    dev: Option<OwnedFd>,
    /// `dev` is a tmpfs that was made for this container: nobody else can change it.
    own_dev: bool,
    devpts: Option<OwnedFd>,
    /// To become read-only when nothing more is made in them.
    readonly_later: Vec<(Tree, String)>,
    old: OldWay,
    parked: Parked,
}

/// Descriptors that are not needed any more, to be closed by few calls.
#[derive(Debug, Default)]
struct Parked(RefCell<Vec<OwnedFd>>);

impl Parked {
    /// So many do not bring us near a limit.
    const MANY: usize = 64;

    fn park(&self, fds: impl IntoIterator<Item = OwnedFd>) {
        let mut parked = self.0.borrow_mut();
        parked.extend(fds);
        if parked.len() >= Self::MANY {
            sys::fds::close_all(std::mem::take(&mut *parked));
        }
    }

    fn close(&self) {
        sys::fds::close_all(self.0.take());
    }
}

impl Plan {
    /// Judges and opens everything. See the module's documentation for what comes next.
    ///
    /// # Errors
    /// When the configuration asks for what cannot be, by name; when a source cannot be opened.
    pub fn prepare(
        spec: &oci_spec::runtime::Spec,
        bundle: &Path,
        context: Context,
    ) -> Result<Self> {
        prepare::prepare(spec, bundle, context)
    }

    /// Everything up to the new root: [`Self::build`], then [`Self::pivot`].
    ///
    /// # Errors
    /// As these.
    pub fn enter(&mut self) -> Result<()> {
        self.build()?;
        self.pivot()
    }

    /// Makes the tree, in a mount namespace that is the container's own.
    ///
    /// # Errors
    /// When the kernel refuses a mount, or the image has something in its way.
    pub fn build(&mut self) -> Result<()> {
        self.part_from_host()?;
        self.open_late()?;
        self.attach_root()?;
        let mask = rustix::process::umask(Mode::empty());
        let made = self.mount_all();
        rustix::process::umask(mask);
        made
    }

    /// Nothing that is mounted from here on is seen by the host.
    fn part_from_host(&mut self) -> Result<()> {
        let what = || "make the mounts of the host propagate no longer";
        let done = if self.kernel.setattr {
            sys::mount::setattr_of_root(Change {
                propagation: MS_SLAVE,
                recursive: true,
                ..Change::default()
            })
        } else {
            Err(rustix::io::Errno::NOSYS.into())
        };
        match done {
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NOSYS.raw_os_error()) => {
                self.kernel.setattr = false;
                let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
                rustix::mount::mount_change("/", flags).context(what)?;
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let proc = rustix::fs::openat(CWD, "/proc", flags, Mode::empty())
                    .context(|| "open /proc")?;
                self.inside.old = OldWay::new(proc);
                Ok(())
            }
            done => done.context(what),
        }
    }

    /// The new root covers the old one, still without being it: the host's files can be opened.
    fn attach_root(&mut self) -> Result<()> {
        let about = || format!("mount the root file system {}", self.root.path.display());
        let mut tree = self
            .root
            .tree
            .take()
            .ok_or_else(|| Error::State("the mount tree is built already".to_owned()))?;
        let slash = rustix::fs::openat(
            CWD,
            "/",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .context(about)?;
        tree.attach(slash.as_fd(), &self.inside.old)
            .context(about)?;
        self.inside.parked.park([slash]);
        self.inside.root = Some(tree.into_fd());
        Ok(())
    }

    fn root(&self) -> Result<BorrowedFd<'_>> {
        self.inside
            .root
            .as_ref()
            .map(AsFd::as_fd)
            .ok_or_else(|| Error::State("the mount tree is not built yet".to_owned()))
    }

    /// Makes the new root the root, and lets go of the host.
    ///
    /// # Errors
    /// When the kernel refuses, as it does in an initramfs.
    pub fn pivot(&mut self) -> Result<()> {
        let root = self.root()?;
        rustix::process::fchdir(root).context(|| "enter the new root")?;
        if self.no_pivot {
            self.move_over()?;
        } else {
            // The old root ends up on top of the new one, at the same place.
            rustix::process::pivot_root(".", ".").context(|| "pivot_root")?;
            rustix::mount::unmount(".", UnmountFlags::DETACH).context(|| "detach the old root")?;
        }
        rustix::process::chdir("/").context(|| "enter the new root")?;
        let root = rustix::io::fcntl_dupfd_cloexec(self.root()?, 3).context(|| "dup")?;
        self.inside.old.come_home_to(root.as_fd()).context(|| "dup")
    }

    /// The mount namespace's procfs at `/proc`, to be opened in relative to this descriptor: what
    /// is written there reaches the kernel, whatever the image has put in its way. `None` if
    /// nothing, or no procfs, is mounted at `/proc`.
    #[must_use]
    pub fn proc(&self) -> Option<BorrowedFd<'_>> {
        self.inside.proc.as_ref().map(AsFd::as_fd)
    }

    /// The last things: what is to be masked or read-only.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn finish(&mut self) -> Result<()> {
        self.mask()?;
        self.protect()?;
        self.readonly_last()?;
        self.inside.parked.close();
        self.propagate_root()
    }

    fn propagate_root(&self) -> Result<()> {
        let Some(propagation) = self.propagation else {
            return Ok(());
        };
        let what = || "change linux.rootfsPropagation of /";
        if self.kernel.setattr {
            sys::mount::setattr(
                self.root()?,
                Change {
                    propagation: propagation.kind,
                    recursive: propagation.recursive,
                    ..Change::default()
                },
            )
            .context(what)
        } else {
            self.inside
                .old
                .propagation(self.root()?, propagation)
                .context(what)
        }
    }
}
