//! A container's root directory as a descriptor: the running container's own, mounts and all, or
//! for one that does not run its layers with its binds and volumes attached.
//!
//! Whoever looks at a path resolves it by the kernel relative to that root (`RESOLVE_IN_ROOT`), so
//! that the container's links lead where they lead inside, and never out (CVE-2018-15664).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use rustix::{
    fs::{self as rfs, FileType, Mode, OFlags},
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
    volumes::Lease,
};

/// The kernel's `MOUNT_ATTR_RDONLY`.
const MOUNT_ATTR_RDONLY: u64 = 1;

/// A container's root directory.
pub(super) enum View {
    /// That of its first process.
    Running(OwnedFd),
    /// Its layers, mounted for this view.
    Mounted {
        tree: sys::tree::Tree,
        /// What is mounted in it stays as long.
        _volumes: Vec<Lease>,
    },
}

impl View {
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        match self {
            Self::Running(root) => root.as_fd(),
            Self::Mounted { tree, .. } => tree.root(),
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
        let users = remap.map(|r| self.new_users(r)).transpose()?;
        let users = users.as_ref().map(|u| &u.user);
        let root = self.mount_root(&container.id, users, remap)?;
        let mut sources = Vec::new();
        let mut leases: Vec<Lease> = Vec::new();
        for mount in &record.mounts {
            let source: PathBuf = match mount.kind {
                MountKind::Bind => mount.source.clone().into(),
                MountKind::Volume => match self.volumes.lease_blocking(&mount.name) {
                    Ok(lease) => {
                        let place = lease.place.clone();
                        leases.push(lease);
                        place
                    }
                    // What is not there yet is made at start; there is nothing to see in it.
                    Err(Error::NoSuchVolume(_)) => continue,
                    Err(error) => return Err(error),
                },
                MountKind::Image => {
                    let files = self.open_image(mount, users, container)?;
                    sources.push((files, mount.destination.clone(), true));
                    continue;
                }
                // In memory, and gone with the run.
                MountKind::Tmpfs => continue,
            };
            let tree = if mount.subpath.is_empty() {
                sys::namespace::clone_mount(&source).ok()
            } else {
                Some(subpath::open(&source, &mount.subpath)?)
            };
            // What is not there yet is made at start; there is nothing to see in it.
            let Some(tree) = tree else { continue };
            if mount.read_only {
                read_only(tree.as_fd()).map_err(Error::path("make read-only", &source))?;
            }
            let what = Error::path("look at", &source);
            let mode = rfs::fstat(&tree).map_err(|e| what(e.into()))?.st_mode;
            let is_dir = FileType::from_raw_mode(mode) == FileType::Directory;
            sources.push((tree, mount.destination.clone(), is_dir));
        }
        // As at start: what is mounted in another mount comes after it.
        let depth = |path: &str| path.split('/').filter(|part| !part.is_empty()).count();
        sources.sort_by_key(|(_, destination, _)| depth(destination));
        let owner = remap.map_or((0, 0), |r| r.root());
        let tree = sys::tree::Tree::new(&root, &container.data_dir, move |root| {
            for (mount, destination, is_dir) in &sources {
                let made = match is_dir {
                    true => rootfs::make_dirs(root, destination, owner),
                    false => rootfs::make_file(root, destination, owner),
                };
                if let Err(error) = made {
                    match Errno::from_io_error(&error) {
                        // The container has led its place to nowhere: it is not to be seen then.
                        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                        _ => return Err(error),
                    }
                }
                match rootfs::open(root, destination, OFlags::PATH) {
                    Ok(at) => sys::tree::attach(mount.as_fd(), at.as_fd())?,
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
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
        Ok(View::Mounted {
            tree: tree.map_err(Error::io(what))?,
            _volumes: leases,
        })
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
