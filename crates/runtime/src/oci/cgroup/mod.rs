//! A container's control group: where it is, its limits, and what is done to the processes in it.
//!
//! The order of use is [`Cgroup::plan`] (touches nothing), [`Cgroup::create`] (directories and
//! limits, each read back, before there is any process) and [`Entry`], by which the first process
//! gets in. On a host with version 1, with version 2, and with both ("hybrid": each controller is
//! in one of them), with directories of our own or a scope that systemd makes for us.
//!
//! # What entering costs
//! Measured on version 1, Linux 6.18: the *first* write of a process number to any `cgroup.procs`
//! takes 5–17 ms, whichever hierarchy it is; each further one 0.01 ms. The controllers are innocent:
//! the kernel takes a machine-wide lock against forks (`cgroup_threadgroup_rwsem`), whose writer
//! waits for all processors to pass a grace period. It takes that lock for a whole process, and for
//! a thread that is not the writer itself; a thread that moves itself needs none of it. So a
//! process with one thread which writes `0` to `tasks` of every hierarchy is inside after 0.1 ms
//! all told: that is [`Entry::enter`]. On version 2 the same is reached by
//! `CLONE_INTO_CGROUP` with [`Entry::directory`]. [`Entry::join`], from outside, is the slow way and
//! there for whom no other way is left. A pool of ready cgroups would save the 0.5 ms that making
//! ten directories takes, and is not worth having.

mod devices;
mod entry;
mod freeze;
mod limits;
mod oom;
mod place;
pub mod stats;
mod systemd;

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use oci_spec::runtime::LinuxResources;
use rustix::{io::Errno, process::Pid};

use super::error::{Context, Error, Result};

pub use entry::Entry;
pub use oom::{Oom, OomEvents};
pub use place::Driver;
pub use stats::Stats;

use limits::knob::Controllers;

/// How long the kernel may take to let go of what has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// The cgroup of one container.
#[derive(Debug, Clone)]
pub struct Cgroup {
    /// One directory a hierarchy; none where there is no cgroup (rootless without delegation).
    dirs: sys::cgroup::Cgroup,
    /// An ordinary user's: what may not be made is left out, unless limits ask for it.
    rootless: bool,
    /// The path was asked for, so it must be had.
    explicit: bool,
    /// systemd's name for it.
    unit: Option<systemd::Unit>,
    id: String,
}

impl Cgroup {
    /// Where the container's cgroup will be: `path` is `linux.cgroupsPath`. Changes nothing.
    ///
    /// # Errors
    /// A path that is none, or that names the whole machine; a host without cgroups.
    pub fn plan(path: Option<&str>, id: &str, driver: Driver, rootless: bool) -> Result<Self> {
        let hierarchies = sys::cgroup::hierarchies().context(|| "read /proc/self/mountinfo")?;
        let (unit, dirs) = match driver {
            Driver::Cgroupfs => {
                let dirs = place::directories(&hierarchies, path, id, rootless)?;
                (None, dirs)
            }
            Driver::Systemd => {
                let unit = systemd::Unit::plan(path, id, rootless)?;
                let dirs = unit.directories(&hierarchies)?;
                (Some(unit), dirs)
            }
        };
        Ok(Self {
            dirs: cgroup_of(dirs)?,
            rootless,
            explicit: path.is_some() || unit.is_some(),
            unit,
            id: id.to_owned(),
        })
    }

    /// Made by systemd, under the name that [`Cgroup::unit`] told.
    #[must_use]
    pub fn with_unit(mut self, name: &str) -> Self {
        let user = !rustix::process::geteuid().is_root();
        self.unit = Some(systemd::Unit::known(name, user));
        self
    }

    /// systemd's name for it, if systemd made it: to be kept beside [`Cgroup::paths`].
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_ref().map(|u| &*u.name)
    }

    /// The cgroup that [`Cgroup::paths`] told of, in another process.
    ///
    /// # Errors
    /// A path that is not below the hierarchy it is said to be in.
    pub fn from_paths(paths: &BTreeMap<String, PathBuf>) -> Result<Self> {
        let hierarchies = sys::cgroup::hierarchies().context(|| "read /proc/self/mountinfo")?;
        let mut dirs = Vec::with_capacity(hierarchies.len());
        for h in hierarchies {
            let names: &[String] = h.controllers.as_deref().unwrap_or(&[]);
            let found = match h.controllers {
                None => paths.get(""),
                Some(_) => names.iter().find_map(|name| paths.get(name)),
            };
            if let Some(dir) = found {
                dirs.push((h.clone(), dir.clone()));
            }
        }
        Ok(Self {
            dirs: cgroup_of(dirs)?,
            rootless: !rustix::process::geteuid().is_root(),
            explicit: true,
            unit: None,
            id: String::new(),
        })
    }

    /// Its directory in each hierarchy.
    pub fn directories(&self) -> &[(sys::cgroup::Hierarchy, PathBuf)] {
        self.dirs.dirs()
    }

    /// Its directories by controller; version 2's by the empty name, as runc keeps them.
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        let mut paths = BTreeMap::new();
        for (h, dir) in self.dirs.dirs() {
            match &h.controllers {
                None => {
                    paths.insert(String::new(), dir.clone());
                }
                Some(names) => {
                    paths.extend(names.iter().map(|name| (name.clone(), dir.clone())));
                }
            }
        }
        paths
    }

    /// Makes it and sets its limits, before any process is in it. What was made is removed again
    /// when that fails.
    ///
    /// # Errors
    /// A limit that this host does not have, that the kernel refuses, or that it took and did not
    /// keep: each by its name in the configuration.
    pub fn create(&self, resources: Option<&LinuxResources>) -> Result<Entry> {
        let holder = match &self.unit {
            Some(unit) => Some(unit.start(&self.id, resources)?),
            None => None,
        };
        match self.create_inside(resources) {
            Ok(entry) => Ok(entry.held_by(holder, resources)),
            Err(e) => {
                drop(holder);
                if let Some(unit) = &self.unit {
                    // It ends by itself when it is empty; what fails here is not what went wrong.
                    let _ = unit.stop();
                }
                Err(e)
            }
        }
    }

    fn create_inside(&self, resources: Option<&LinuxResources>) -> Result<Entry> {
        let everything = resources.is_some_and(limits::needs_unified);
        let made = match place::make(self.dirs.dirs(), everything) {
            Ok(made) => made,
            // An ordinary user to whom nothing was delegated, and who did not ask for a place.
            Err(e) if self.may_do_without(&e) => {
                return match resources.and_then(limits::first_asked_for) {
                    None => Ok(Entry::nowhere()),
                    Some(limit) => Err(Error::Unsupported(format!(
                        "{limit} cannot be set: no cgroup is delegated to this user ({e})"
                    ))),
                };
            }
            Err(e) => return Err(e),
        };
        let entry = self.fill(resources, &made);
        if entry.is_err() {
            made.undo();
        }
        entry
    }

    fn fill(&self, resources: Option<&LinuxResources>, made: &place::Made) -> Result<Entry> {
        let have = Controllers::of(&self.dirs);
        if let Some(resources) = resources {
            limits::apply(&have, resources)?;
        }
        let rules = resources.and_then(|r| r.devices().as_deref());
        let fresh = self.dir("devices").is_some_and(|dir| made.has(dir));
        devices::apply(&have, rules.unwrap_or_default(), fresh, self.rootless)?;
        Entry::open(self.dirs.dirs())
    }

    /// Changes limits while it runs. What is not mentioned stays; rules for devices, if there are
    /// any, take the place of the old ones.
    ///
    /// # Errors
    /// As with [`Cgroup::create`]; the limits before the one that is named have been changed.
    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        if let Some(unit) = &self.unit {
            unit.update(resources)?;
        }
        if limits::needs_unified(resources) {
            place::hand_on_to(self.dirs.dirs())?;
        }
        let have = Controllers::of(&self.dirs);
        limits::apply(&have, resources)?;
        match resources.devices().as_deref() {
            Some(rules) if !rules.is_empty() => devices::apply(&have, rules, false, self.rootless),
            _ => Ok(()),
        }
    }

    /// Stops everything in it, and returns when all stand still.
    ///
    /// # Errors
    /// A process that does not stop (then none is left stopped), or no way to do it here.
    pub fn freeze(&self) -> Result<()> {
        freeze::set(&Controllers::of(&self.dirs), true)
    }

    /// Lets everything go on.
    ///
    /// # Errors
    /// When it is gone, or an outer cgroup is frozen.
    pub fn thaw(&self) -> Result<()> {
        freeze::set(&Controllers::of(&self.dirs), false)
    }

    /// Is it frozen, or being frozen?
    ///
    /// # Errors
    /// When it is gone.
    pub fn is_frozen(&self) -> Result<bool> {
        freeze::is_frozen(&Controllers::of(&self.dirs))
    }

    /// What it uses.
    pub fn stats(&self) -> Stats {
        stats::read(&Controllers::of(&self.dirs))
    }

    /// What it uses of what changes by the second; the rest is left at zero.
    pub fn usage(&self) -> Stats {
        stats::read_usage(&Controllers::of(&self.dirs))
    }

    /// To be told when there is no memory left in it.
    ///
    /// # Errors
    /// Without the controller for memory.
    pub fn oom_events(&self) -> Result<OomEvents> {
        OomEvents::new(&Controllers::of(&self.dirs))
    }

    /// Version 2: lets the host's user `uid`, the container's root, rule what is below it, as the
    /// kernel's list of such files says. On version 1 nobody but root may.
    ///
    /// # Errors
    /// The kernel's.
    pub fn delegate(&self, uid: u32) -> Result<()> {
        place::delegate(self.dirs.dirs(), uid)
    }

    fn may_do_without(&self, e: &Error) -> bool {
        let denied = [Errno::ACCESS, Errno::PERM, Errno::ROFS];
        self.rootless
            && !self.explicit
            && e.errno()
                .is_some_and(|n| denied.contains(&Errno::from_raw_os_error(n)))
    }

    /// For one more process, of a container that runs.
    ///
    /// # Errors
    /// When it is gone.
    pub fn entry(&self) -> Result<Entry> {
        Entry::open(self.dirs.dirs())
    }

    /// The same for a process beside `process`, the container's first: on version 2 that may have
    /// made cgroups of its own below and moved there, and then the container's own cgroup takes no
    /// process any more.
    ///
    /// # Errors
    /// When it is gone.
    pub fn entry_beside(&self, process: Pid) -> Result<Entry> {
        let mut dirs = self.dirs.dirs().to_vec();
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", process.as_raw_nonzero()))
            .unwrap_or_default();
        for (h, dir) in dirs.iter_mut().filter(|(h, _)| h.controllers.is_none()) {
            let now = place::own_path(&text, h);
            let now = h.mount.join(now.strip_prefix("/").unwrap_or(now));
            // Only below: whoever is elsewhere is no guide.
            let normal = |p: &Path| p.components().all(|c| matches!(c, Component::Normal(_)));
            if now.strip_prefix(&*dir).is_ok_and(normal) {
                *dir = now;
            }
        }
        Entry::open(&dirs)
    }

    /// Every process in it or below.
    pub fn pids(&self) -> Vec<i32> {
        self.dirs.processes().into_iter().collect()
    }

    /// Does it exist?
    pub fn exists(&self) -> bool {
        self.dirs.exists()
    }

    /// Kills everything in it, frozen or not, and waits until it is empty; `each_round` is called
    /// while waiting, to reap.
    ///
    /// # Errors
    /// What does not die, or if the caller is inside.
    pub fn kill_all(&self, each_round: impl FnMut()) -> Result<()> {
        self.dirs
            .kill_all(PATIENCE, each_round)
            .context(|| "kill the container's processes")
    }

    /// Removes it and what is below it. Nothing to remove is success.
    ///
    /// # Errors
    /// When there is still a process in it.
    pub fn remove(&self) -> Result<()> {
        if let Some(unit) = &self.unit {
            unit.stop()?;
        }
        self.dirs
            .remove(PATIENCE)
            .context(|| "remove the container's cgroup")
    }

    /// The directory of a controller, if a hierarchy has it.
    pub fn dir(&self, controller: &str) -> Option<&Path> {
        self.dirs.dir(controller)
    }
}

fn cgroup_of(dirs: Vec<(sys::cgroup::Hierarchy, PathBuf)>) -> Result<sys::cgroup::Cgroup> {
    sys::cgroup::Cgroup::from_dirs(dirs)
        .map_err(|e| Error::config("linux.cgroupsPath", e.to_string()))
}
