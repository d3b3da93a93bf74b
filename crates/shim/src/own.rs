//! Our own OCI runtime, which is part of this program: a copy of the shim starts the process and
//! ends, as `runc run --detach` would. So the shim itself never waits for a kernel that takes its
//! time, and nothing that happens on the way to a container can happen to it.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::Path,
};

use runtime::{
    oci::{self, Config, cgroup, console, exec, seccomp::Filter, start},
    protocol::Launch,
};
use rustix::process::Pid;
use serde_json::json;
use sys::clone::{Clone, Fork, clone, exit_now};

use crate::{command::Files, stdio::Ends};

/// What is to be started.
pub(crate) struct Job<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) files: &'a Files,
    pub(crate) tty: bool,
    pub(crate) ends: Ends,
    /// The compiled filter, if the daemon gave one.
    pub(crate) filter: Option<&'a OwnedFd>,
    /// For an exec: the container's first process, and the OCI `process`.
    pub(crate) exec: Option<(Pid, &'a str)>,
}

/// Starts the copy; the shim reaps it. It tells the process's number and what went wrong in the
/// same files as another runtime.
pub(crate) fn fork(job: Job<'_>) -> io::Result<Pid> {
    let _ = fs::remove_file(&job.files.log);
    let _ = fs::remove_file(&job.files.pid);
    match clone(Clone::default())? {
        Fork::Parent { pid, .. } => Ok(pid),
        Fork::Child => {
            let code = match work(job) {
                Ok(()) => 0,
                Err(()) => 1,
            };
            exit_now(code)
        }
    }
}

/// In the copy.
fn work(job: Job<'_>) -> Result<(), ()> {
    let shim = rustix::process::getppid();
    let kill = rustix::process::Signal::KILL;
    let armed = rustix::process::set_parent_process_death_signal(Some(kill));
    if armed.is_err() || rustix::process::getppid() != shim {
        return Err(());
    }
    let (log, pid_file) = (job.files.log.clone(), job.files.pid.clone());
    let is_exec = job.exec.is_some();
    let started = match job.exec {
        None => run(job),
        Some((pid, process)) => run_exec(job, pid, process),
    };
    let told = match started {
        Ok(pid) => fs::write(&pid_file, pid.as_raw_nonzero().to_string()),
        Err(error) => {
            let message = if is_exec {
                format!("exec failed: {error}")
            } else {
                error.to_string()
            };
            let line = json!({"level": "error", "msg": in_words(&message)});
            let _ = fs::write(&log, format!("{line}\n"));
            return Err(());
        }
    };
    told.map_err(drop)
}

/// The kernel's reasons without their numbers, as Docker's users know them.
fn in_words(message: &str) -> String {
    match message.rfind(" (os error ") {
        Some(at) if message.ends_with(')') => {
            let (text, _) = message.split_at(at);
            match text.rsplit_once(": ") {
                Some((what, why)) => format!("{what}: {}", why.to_lowercase()),
                None => text.to_lowercase(),
            }
        }
        _ => message.to_owned(),
    }
}

fn run(job: Job<'_>) -> oci::Result<Pid> {
    let launch = job.launch;
    let config = Config::load(Path::new("."))?;
    let options = start::Options {
        id: launch.id.clone(),
        stdio: stdio(job.tty, job.ends)?,
        console: console(job.tty, job.files)?,
        filter: filter(job.filter)?,
        ..start::Options::default()
    };
    let started = start::Prepared::new(config, Path::new(&launch.bundle), options)?.run()?;
    Ok(started.init.pid)
}

fn run_exec(job: Job<'_>, target: Pid, process: &str) -> oci::Result<Pid> {
    let launch = job.launch;
    let config = Config::load(Path::new("."))?;
    let process = oci::config::parse_process(process.as_bytes())?;
    let cgroup = cgroup::Cgroup::plan(
        Some(&launch.cgroup),
        &launch.id,
        cgroup::Driver::Cgroupfs,
        false,
    )?;
    let options = exec::Options {
        id: launch.id.clone(),
        bundle: launch.bundle.clone().into(),
        stdio: stdio(job.tty, job.ends)?,
        console: console(job.tty, job.files)?,
        filter: filter(job.filter)?,
        cgroup: Some(cgroup.entry_beside(target)?),
        ..exec::Options::default()
    };
    let exec = exec::Exec::new(config, process, target, options)?;
    // The descriptor of the process is open now. If the number had come to be another's before that,
    // this would not be a child of the shim's.
    if !is_sibling(target) {
        return Err(oci::Error::State("the container has stopped".to_owned()));
    }
    Ok(exec.run()?.pid)
}

/// Has this process the same parent as we?
fn is_sibling(target: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", target.as_raw_nonzero()));
    let status = status.unwrap_or_default();
    let parent = status.lines().find_map(|l| l.strip_prefix("PPid:"));
    let parent = parent.and_then(|p| p.trim().parse().ok());
    parent.and_then(Pid::from_raw) == rustix::process::getppid()
}

fn stdio(tty: bool, ends: Ends) -> oci::Result<Option<[OwnedFd; 3]>> {
    if tty {
        return Ok(None);
    }
    use oci::Context;
    ends.into_fds().map(Some).context(|| "open /dev/null")
}

fn console(tty: bool, files: &Files) -> oci::Result<Option<OwnedFd>> {
    tty.then(|| console::connect(Path::new(&files.console)))
        .transpose()
}

fn filter(fd: Option<&OwnedFd>) -> oci::Result<Option<Filter>> {
    use oci::Context;
    let Some(fd) = fd else { return Ok(None) };
    let what = || "read the compiled seccomp filter";
    let size = rustix::fs::fstat(fd).context(what)?.st_size;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    // Not from the descriptor's position, which is shared with whoever else reads just now.
    fs::File::from(fd.try_clone().context(what)?)
        .read_exact_at(&mut bytes, 0)
        .context(what)?;
    let filter = Filter::from_bytes(&bytes)
        .ok_or_else(|| oci::Error::State("the compiled seccomp filter is not one".to_owned()))?;
    Ok(Some(filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_without_numbers() {
        assert_eq!(
            in_words("exec /x: Exec format error (os error 8)"),
            "exec /x: exec format error"
        );
        assert_eq!(
            in_words("exec: \"/etc\": is a directory"),
            "exec: \"/etc\": is a directory"
        );
    }
}
