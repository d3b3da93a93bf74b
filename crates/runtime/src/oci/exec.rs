//! Another process in a container that runs.
//!
//! A copy of us enters all the container's namespaces by one call, with a descriptor of its first
//! process, and makes the new process there; both may not be looked into from inside. What the process
//! may do is what the container's own may: what its description leaves out is the container's, and
//! the filter of system calls, the cgroup and the user namespace are never left out.

use std::{
    convert::Infallible,
    os::fd::{AsFd, OwnedFd, RawFd},
    path::PathBuf,
};

use oci_spec::runtime::{LinuxNamespaceType as Kind, Process};
use rustix::{
    process::{
        DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal,
        set_dumpable_behavior, set_parent_process_death_signal, setsid, waitpid,
    },
    thread::{CpuSet, sched_setaffinity},
};
use sys::clone::{Clone as CloneArgs, Fork, clone, exit_now};

use super::{
    Config, Context, Error, Result, cgroup, console, filter,
    hooks::About,
    process::{self, Setup},
    procfs::Proc,
    seccomp::Filter,
    start::{
        Started, namespaces,
        sync::{self, End, Note},
    },
};

/// What the process's description does not say.
#[derive(Debug, Default)]
pub struct Options {
    /// The container's name.
    pub id: String,
    /// The container's bundle; what a seccomp agent is told.
    pub bundle: PathBuf,
    /// Standard input, output and error; those of the calling process if none. Not for a terminal.
    pub stdio: Option<[OwnedFd; 3]>,
    /// A connected Unix socket that gets the terminal's other side.
    pub console: Option<OwnedFd>,
    /// So many descriptors after the standard ones are given to the program.
    pub preserve_fds: RawFd,
    /// The filter of `linux.seccomp`, if it was compiled before.
    pub filter: Option<Filter>,
    /// Keep the session keyring of whoever calls.
    pub no_new_keyring: bool,
    /// The container's cgroup.
    pub cgroup: Option<cgroup::Entry>,
}

/// A process that can be started.
#[derive(Debug)]
pub struct Exec {
    config: Config,
    options: Options,
    proc: Proc,
    setup: Setup,
    target: OwnedFd,
    namespaces: u64,
    filter: Option<Filter>,
    listener: Option<std::os::unix::net::UnixStream>,
    /// First and last.
    affinity: [Option<CpuSet>; 2],
}

impl Exec {
    /// Prepares `process` for the container of `config` whose first process is `target`: one that was
    /// not waited for, so that the number is its own.
    pub fn new(
        config: Config,
        mut process: Process,
        target: Pid,
        mut options: Options,
    ) -> Result<Self> {
        inherit(&mut process, config.spec.process().as_ref());
        let mut setup = Setup::new(&process)?;
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
        let affinity = process.exec_cpu_affinity().as_ref();
        let affinity = [
            affinity.and_then(|a| a.initial().as_deref()),
            affinity.and_then(|a| a.cpu_affinity_final().as_deref()),
        ]
        .map(|list| list.map(cpus).transpose());
        let [first, last] = affinity;
        let target = pidfd_open(target, PidfdFlags::empty())
            .context(|| "cannot exec in a stopped container")?;
        let namespaces = linux.and_then(|l| l.namespaces().as_ref());
        Ok(Self {
            namespaces: namespaces
                .into_iter()
                .flatten()
                .fold(0, |flags, n| flags | namespaces::flag(n.typ())),
            proc: Proc::host()?,
            listener: filter::connect(filter.as_ref())?,
            affinity: [first?, last?],
            config,
            options,
            setup,
            target,
            filter,
        })
    }

    /// Starts it; returns when its program has begun. Nothing is left of one that did not.
    pub fn run(mut self) -> Result<Started> {
        self.setup.raise_limits()?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable).context(|| "prctl")?;
        let (ours, theirs) = sync::pair()?;
        let between = match clone(CloneArgs::default()).context(|| "clone3")? {
            Fork::Parent { pid, .. } => pid,
            Fork::Child => self.go_between(theirs),
        };
        drop(theirs);
        let told = ours.receive();
        let _ = waitpid(Some(between), WaitOptions::empty());
        let started = match told? {
            Some(Note::Pid(raw)) => {
                let pid = Pid::from_raw(raw)
                    .ok_or_else(|| Error::State(format!("{raw} is no process")))?;
                let pidfd = pidfd_open(pid, PidfdFlags::empty()).context(|| "pidfd_open")?;
                Started { pid, pidfd }
            }
            _ => {
                return Err(Error::State(
                    "the process that joins namespaces has ended without a word".to_owned(),
                ));
            }
        };
        let outcome = self.accompany(&ours, started.pid);
        if let Err(error) = outcome {
            let _ = pidfd_send_signal(&started.pidfd, Signal::KILL);
            let _ = waitpid(Some(started.pid), WaitOptions::empty());
            return Err(error);
        }
        Ok(started)
    }

    fn accompany(&self, ours: &End, pid: Pid) -> Result<()> {
        if let Some(score) = self.setup.oom_score_adj() {
            let path = format!("{}/oom_score_adj", pid.as_raw_nonzero());
            self.proc.write(&path, score.to_string().as_bytes())?;
        }
        ours.send(&Note::Done)?;
        match ours.receive()? {
            None => Ok(()),
            Some(note) => Err(Error::State(format!("{note:?} came during the exec"))),
        }
    }

    fn go_between(&mut self, theirs: End) -> ! {
        let made = self.cross();
        let note = match made {
            Ok(Fork::Child) => self.main(&theirs),
            Ok(Fork::Parent { pid, .. }) => Note::Pid(pid.as_raw_nonzero().get()),
            Err(error) => Note::failed(&error),
        };
        let _ = theirs.send(&note);
        exit_now(0)
    }

    fn cross(&self) -> Result<Fork> {
        // Before the namespaces, whose limits of processors may be others.
        if let Some(cpus) = &self.affinity[0] {
            sched_setaffinity(None, cpus).context(|| "set process.execCPUAffinity.initial")?;
        }
        sys::clone::join(self.target.as_fd(), self.namespaces)
            .context(|| "join the container's namespaces")?;
        if self.joins_users() {
            namespaces::become_root()?;
        }
        let entry = self.options.cgroup.as_ref();
        clone(CloneArgs {
            sibling: true,
            cgroup: entry
                .filter(|_| !self.joins_users())
                .and_then(cgroup::Entry::directory),
            ..CloneArgs::default()
        })
        .context(|| "make the process (clone3)")
    }

    /// Is there a user namespace to join? See [`namespaces::Namespaces::joins_users`].
    fn joins_users(&self) -> bool {
        self.namespaces & namespaces::flag(Kind::User) != 0
    }

    fn main(&mut self, outside: &End) -> ! {
        let Err(error) = self.begin(outside);
        let _ = outside.send(&Note::failed(&error));
        exit_now(1)
    }

    fn begin(&mut self, outside: &End) -> Result<Infallible> {
        set_parent_process_death_signal(Some(Signal::KILL)).context(|| "prctl")?;
        // Nothing can be said before it is known outside whose words they are.
        outside.expect(&Note::Done)?;
        let _ = setsid();
        if let Some(entry) = &self.options.cgroup {
            entry
                .enter(entry.directory().is_some() && !self.joins_users())
                .context(|| "enter the container's cgroup")?;
        }
        if let Some(cpus) = &self.affinity[1] {
            sched_setaffinity(None, cpus).context(|| "set process.execCPUAffinity.final")?;
        }
        let labels = self.setup.labels().open(&self.proc)?;
        if !self.options.no_new_keyring {
            process::new_keyring(&self.options.id)?;
        }
        if let Some(socket) = &self.options.console {
            let pty = console::open_in_container()?;
            console::hand_over(&pty, socket, self.setup.size)?;
            console::take(&pty)?;
        } else if let Some(stdio) = &self.options.stdio {
            process::take_stdio(stdio)?;
        }
        self.setup.own_stdio()?;
        let program = self.setup.become_user()?;
        set_parent_process_death_signal(None).context(|| "prctl")?;
        let setup = &self.setup;
        Err(match &self.filter {
            None => setup.exec(&program, labels, &[outside.as_fd()], None),
            Some(filter) => {
                let about = About {
                    spec: &self.config.spec,
                    id: &self.options.id,
                    bundle: self.options.bundle.to_str().unwrap_or_default(),
                    pid: Some(self.proc.own_pid()?),
                    status: "running",
                };
                let installer = filter::Installer::new(filter, self.listener.as_ref(), about);
                let keep = installer.keep(outside);
                setup.exec(&program, labels, &keep, Some(&mut || installer.install()))
            }
        })
    }
}

/// What the description leaves out is as the container's own process has it.
fn inherit(process: &mut Process, container: Option<&Process>) {
    let Some(container) = container else { return };
    if process.capabilities().is_none() {
        process.set_capabilities(container.capabilities().clone());
    }
    if process.rlimits().as_ref().is_none_or(Vec::is_empty) {
        process.set_rlimits(container.rlimits().clone());
    }
    if process.no_new_privileges().is_none() {
        process.set_no_new_privileges(container.no_new_privileges());
    }
    if process.apparmor_profile().is_none() {
        process.set_apparmor_profile(container.apparmor_profile().clone());
    }
    if process.selinux_label().is_none() {
        process.set_selinux_label(container.selinux_label().clone());
    }
    if process.oom_score_adj().is_none() {
        process.set_oom_score_adj(container.oom_score_adj());
    }
    if process.scheduler().is_none() {
        process.set_scheduler(container.scheduler().clone());
    }
    if process.io_priority().is_none() {
        process.set_io_priority(*container.io_priority());
    }
    if process.user().umask().is_none() {
        let mask = container.user().umask();
        process.user_mut().set_umask(mask);
    }
}

/// `0-3,7`
fn cpus(list: &str) -> Result<CpuSet> {
    let bad = || {
        Error::config(
            "process.execCPUAffinity",
            format!("{list:?} is no list of CPUs"),
        )
    };
    let mut set = CpuSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (
            first.trim().parse().map_err(|_| bad())?,
            last.trim().parse().map_err(|_| bad())?,
        );
        if first > last || last >= CpuSet::MAX_CPU {
            return Err(bad());
        }
        (first..=last).for_each(|cpu| set.set(cpu));
    }
    Ok(set)
}
