//! A container's root directory as a descriptor: the running container's own, mounts and all, or
//! for one that does not run its layers with its binds and volumes attached.
//!
//! Whoever looks at a path resolves it by the kernel relative to that root (`RESOLVE_IN_ROOT`), so
//! that the container's links lead where they lead inside, and never out (CVE-2018-15664).

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    fs::{self as rfs, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    record::MountKind,
    rootfs,
    state::Phase,
    subpath,
};

/// The kernel's `MOUNT_ATTR_RDONLY`.
const MOUNT_ATTR_RDONLY: u64 = 1;

/// A container's root directory.
pub(super) enum View {
    /// That of its first process.
    Running(OwnedFd),
    /// Its layers, mounted for this view.
    Mounted(sys::tree::Tree),
}

impl View {
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        match self {
            Self::Running(root) => root.as_fd(),
            Self::Mounted(tree) => tree.root(),
        }
    }
}

impl Engine {
    /// The root as it is now. For one that does not run the caller holds the `op` lock as long as
    /// the view lives: its layers must not be mounted twice.
    pub(super) fn view(&self, container: &Arc<Container>) -> Result<View> {
        if let Phase::Running { pid } = container.state().phase {
            // Its layers are mounted already; a second mount of them would be wrong.
            let root = running_root(pid, &container.id).ok_or_else(|| {
                Error::Conflict(format!("container {} is ending: try again", container.id))
            })?;
            return Ok(View::Running(root));
        }
        let record = container.record();
        let remap = self.remap(&record.host_config);
        let root = match remap {
            None => self.images.mount_container(&container.id)?,
            Some(remap) => {
                let made = self.new_users(remap)?;
                self.images.mount_container_mapped(
                    &container.id,
                    made.user.as_fd(),
                    remap.root(),
                )?
            }
        };
        let mut sources = Vec::new();
        for mount in &record.mounts {
            let source = match mount.kind {
                MountKind::Bind => mount.source.clone().into(),
                MountKind::Volume => self.volumes.data(&mount.name),
                // In memory, and gone with the run.
                MountKind::Tmpfs => continue,
            };
            // What is not there yet is made at start; there is nothing to see in it.
            let part;
            let source = if mount.subpath.is_empty() {
                source
            } else {
                part = subpath::open(&source, &mount.subpath)?;
                format!("/proc/self/fd/{}", part.as_raw_fd()).into()
            };
            if let Ok(tree) = sys::namespace::clone_mount(&source) {
                if mount.read_only {
                    read_only(tree.as_fd()).map_err(Error::path("make read-only", &source))?;
                }
                sources.push((tree, mount.destination.clone(), source.is_dir()));
            }
        }
        let owner = remap.map_or((0, 0), |r| r.root());
        let tree = sys::tree::Tree::new(&root, &container.data_dir, move |root| {
            for (mount, destination, is_dir) in &sources {
                if *is_dir {
                    rootfs::make_dirs(root, destination, owner)?;
                }
                match open(root, destination, OFlags::PATH) {
                    Ok(at) => sys::tree::attach(mount.as_fd(), at.as_fd())?,
                    Err(Errno::NOENT) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            if record.host_config.readonly_rootfs {
                // Not before: the places of its volumes are made in it.
                read_only(root)?;
            }
            Ok(())
        });
        let what = format!("look into container {}", container.id);
        Ok(View::Mounted(tree.map_err(Error::io(what))?))
    }
}

fn read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    let change = sys::mount::Change {
        set: MOUNT_ATTR_RDONLY,
        ..sys::mount::Change::default()
    };
    sys::mount::setattr(mount, change)
}

/// The root of a container's process; none when it has just ended.
fn running_root(pid: u32, container: &str) -> Option<OwnedFd> {
    let process = sys::namespace::Process::open(pid).ok()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rfs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).ok()?;
    // The container's, and still the same one: the number was not another's when its root was
    // opened.
    process
        .cgroups()
        .ok()
        .filter(|cgroups| cgroups.contains(container))?;
    Some(root)
}

/// Opens a path of the container; the last part is followed unless `flags` say otherwise.
pub(super) fn open(
    root: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
) -> std::result::Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let path = if path.is_empty() { "/" } else { path };
    loop {
        match rfs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // The kernel saw a rename elsewhere and could not be sure.
            Err(Errno::AGAIN) => {}
            done => return done,
        }
    }
}

/// An error of a path of the container, in Docker's words.
pub(super) fn path_error(container: &str, path: &str, error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT) => Error::NoSuchPath {
            path: path.to_owned(),
            container: container.to_owned(),
        },
        Some(Errno::NOTDIR) => Error::Invalid(format!("{path}: not a directory")),
        Some(Errno::LOOP | Errno::NAMETOOLONG) => Error::Invalid(format!("{path}: {error}")),
        _ => Error::Io {
            what: format!("{path} in container {container}"),
            source: error,
        },
    }
}
