//! The way of a process into a cgroup.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use oci_spec::runtime::LinuxResources;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
    process::Pid,
};
use sys::{cgroup::Hierarchy, placeholder::Placeholder};

use super::super::error::{Context, Result};

/// Open descriptors of a cgroup that is ready, by which processes get in. All are closed on exec.
///
/// The quick way, see the module's page: clone with `CLONE_INTO_CGROUP` and [`Entry::directory`] if
/// there is one, and let the new process, as its first act and while it has one thread, call
/// [`Entry::enter`]. It works from inside new namespaces of every kind, since who may write was
/// settled when the descriptors were opened. Keep it until the process is inside, and drop it then:
/// a scope of systemd's is held open by it.
#[derive(Debug)]
pub struct Entry {
    /// Version 2's directory.
    directory: Option<OwnedFd>,
    /// Version 2's `cgroup.procs`.
    unified: Option<OwnedFd>,
    /// Version 1: `tasks` of each hierarchy.
    tasks: Vec<OwnedFd>,
    /// Version 1: `cgroup.procs` of each hierarchy.
    procs: Vec<OwnedFd>,
    /// Holds systemd's scope open until the first process is inside.
    holder: Option<Placeholder>,
}

impl Entry {
    /// No cgroup: whoever enters stays where it is.
    pub(super) fn nowhere() -> Self {
        Self {
            directory: None,
            unified: None,
            tasks: Vec::new(),
            procs: Vec::new(),
            holder: None,
        }
    }

    pub(super) fn open(dirs: &[(Hierarchy, PathBuf)]) -> Result<Self> {
        let mut entry = Self::nowhere();
        let write = OFlags::WRONLY | OFlags::CLOEXEC;
        for (h, dir) in dirs {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let at = openat(CWD, dir, flags, Mode::empty())
                .context(|| format!("open cgroup {}", dir.display()))?;
            let open = |name: &str| {
                openat(&at, name, write, Mode::empty())
                    .context(|| format!("open {}/{name}", dir.display()))
            };
            if h.controllers.is_some() {
                entry.tasks.push(open("tasks")?);
                entry.procs.push(open("cgroup.procs")?);
            } else {
                entry.unified = Some(open("cgroup.procs")?);
                entry.directory = Some(at);
            }
        }
        Ok(entry)
    }

    /// With the process that holds the cgroup open. Where only one process may be in it, none can
    /// be cloned into it beside that one; moving in is not counted.
    pub(super) fn held_by(
        mut self,
        holder: Option<Placeholder>,
        resources: Option<&LinuxResources>,
    ) -> Self {
        let limit = resources.and_then(|r| r.pids().map(|p| p.limit()));
        if holder.is_some() && limit == Some(1) {
            self.directory = None;
        }
        self.holder = holder;
        self
    }

    /// Version 2's directory, for `CLONE_INTO_CGROUP`. `None`: there is none to clone into.
    pub fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.directory.as_ref().map(AsFd::as_fd)
    }

    /// Moves the calling process, which must have one thread. `cloned_into` says that it was born
    /// in [`Entry::directory`]. Allocates nothing.
    ///
    /// # Errors
    /// The kernel's: a cgroup that is gone, or a cpuset that is empty.
    pub fn enter(&self, cloned_into: bool) -> Result<(), Errno> {
        let unified = self.unified.iter().filter(|_| !cloned_into);
        for fd in unified.chain(&self.tasks) {
            rustix::io::write(fd, b"0")?;
        }
        Ok(())
    }

    /// Moves another process, all its threads. The slow way: see the module's page.
    ///
    /// # Errors
    /// The kernel's: no such process, or a cgroup that is gone.
    pub fn join(&self, pid: Pid) -> Result<()> {
        let number = pid.as_raw_nonzero().to_string();
        for fd in self.unified.iter().chain(&self.procs) {
            rustix::io::write(fd, number.as_bytes())
                .context(|| format!("move process {number} into the container's cgroup"))?;
        }
        Ok(())
    }

    /// All its descriptors, for whoever closes every other one.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let all = self.directory.iter().chain(&self.unified);
        let all = all.chain(&self.tasks).chain(&self.procs).map(AsFd::as_fd);
        all.chain(self.holder.iter().map(AsFd::as_fd))
    }
}
