//! Starting a container's first process.
//!
//! [`Prepared::new`] reads, checks and opens all it can; nothing exists yet. [`Prepared::create`]
//! makes the process, which gets everything but its program ready and then waits at a [`Gate`];
//! [`Prepared::run`] does not wait. The process that calls is outside and has one thread; the one
//! inside is its copy. It stays its child, and becomes the nearest subreaper's when it ends.
//!
//! What fails takes back what was made: process, cgroup, and with the process its namespaces and
//! mounts.

mod gate;
mod idmap;
mod inside;
pub(crate) mod namespaces;
mod outside;
pub(crate) mod sync;

use std::{
    os::fd::{OwnedFd, RawFd},
    path::{Path, PathBuf},
};

use rustix::process::Pid;

use super::{
    Config, Error, Result,
    cgroup::{self, Cgroup},
    hooks, mounts,
    process::Setup,
    procfs::Proc,
    seccomp::Filter,
};
pub use gate::{Gate, open as open_gate, waits as waits_at_gate};
use namespaces::Namespaces;

/// What `config.json` does not say.
#[derive(Debug, Default)]
pub struct Options {
    /// The container's name.
    pub id: String,
    /// Standard input, output and error; those of the calling process if none. Not for a terminal.
    pub stdio: Option<[OwnedFd; 3]>,
    /// A connected Unix socket that gets the terminal's other side.
    pub console: Option<OwnedFd>,
    /// So many descriptors after the standard ones are given to the program.
    pub preserve_fds: RawFd,
    /// The filter of `linux.seccomp`, if it was compiled before.
    pub filter: Option<Filter>,
    /// Move the new root over the old one, where pivot_root cannot be (an initramfs).
    pub no_pivot: bool,
    /// Keep the session keyring of whoever calls.
    pub no_new_keyring: bool,
    /// The calling process may not do what root may.
    pub rootless: bool,
    /// Who makes the cgroup.
    pub driver: cgroup::Driver,
}

/// A container that can be started.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    bundle: PathBuf,
    options: Options,
    proc: Proc,
    setup: Setup,
    namespaces: Namespaces,
    cgroup: Cgroup,
    /// The way into it, once it is made.
    entry: Option<cgroup::Entry>,
    /// What will be mounted, once the cgroup is made. None in a mount namespace that is joined.
    mounts: Option<mounts::Plan>,
    filter: Option<Filter>,
    /// Where the filter's listener goes.
    listener: Option<std::os::unix::net::UnixStream>,
}

/// A process that was made.
#[derive(Debug)]
pub struct Started {
    /// Its number, as the caller counts.
    pub pid: Pid,
    /// The process itself.
    pub pidfd: OwnedFd,
}

/// A container that was started, or was created and waits.
#[derive(Debug)]
pub struct Container {
    /// Its first process.
    pub init: Started,
    /// Its cgroup.
    pub cgroup: Cgroup,
}

impl Prepared {
    /// Prepares the container of `config` in `bundle`, an absolute path.
    pub fn new(config: Config, bundle: &Path, mut options: Options) -> Result<Self> {
        let Some(process) = config.spec.process() else {
            return Err(Error::config("process", "is needed to start a container"));
        };
        let mut setup = Setup::new(process)?;
        setup.preserve_fds = options.preserve_fds;
        if setup.terminal != options.console.is_some() {
            return Err(Error::State(if setup.terminal {
                "cannot allocate tty if runc will detach without setting console socket".to_owned()
            } else {
                "cannot use console socket if runc will not detach or allocate tty".to_owned()
            }));
        }
        let linux = config.spec.linux().as_ref();
        if let Some(personality) = linux.and_then(|l| l.personality().as_ref()) {
            setup.set_personality(personality)?;
        }
        let filter = match (
            options.filter.take(),
            linux.and_then(|l| l.seccomp().as_ref()),
        ) {
            (Some(filter), _) => Some(filter),
            (None, Some(profile)) => Some(super::seccomp::compile(profile)?),
            (None, None) => None,
        };
        let path = linux.and_then(|l| l.cgroups_path().as_ref());
        let path = path.map(|p| p.to_string_lossy());
        let cgroup = Cgroup::plan(
            path.as_deref(),
            &options.id,
            options.driver,
            options.rootless,
        )?;
        Ok(Self {
            cgroup,
            entry: None,
            mounts: None,
            namespaces: Namespaces::new(&config.spec)?,
            proc: Proc::host()?,
            bundle: bundle.to_owned(),
            setup,
            filter,
            listener: None,
            options,
            config,
        })
    }

    /// The cgroup that will be made.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Makes the process and lets it wait at the gate, just before its program.
    pub fn create(self, gate: Gate) -> Result<Container> {
        outside::start(self, Some(gate))
    }

    /// Makes the process and lets its program begin; returns when it has.
    pub fn run(self) -> Result<Container> {
        outside::start(self, None)
    }

    /// What hooks are told.
    fn about(&self, pid: Option<i32>, status: &'static str) -> hooks::About<'_> {
        hooks::About {
            spec: &self.config.spec,
            id: &self.options.id,
            bundle: self.bundle.to_str().unwrap_or_default(),
            pid,
            status,
        }
    }
}
