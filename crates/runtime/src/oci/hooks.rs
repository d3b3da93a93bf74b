//! Hooks: programs that whoever wrote `config.json` wants to be run at certain moments.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::fd::AsFd,
    process::{Child, Command, Stdio},
};

use oci_spec::runtime::{Hook, Hooks, Spec};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde_json::json;

use super::{Context, Error, Result};

/// What is said of a hook's complaints at most.
const MAX_OUTPUT: u64 = 4096;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As `CreateRuntime`; the older name.
    Prestart,
    /// The namespaces are there, the root not yet; outside.
    CreateRuntime,
    /// The mounts are there, the root not yet; inside.
    CreateContainer,
    /// Just before the program begins; inside.
    StartContainer,
    /// The program has begun; outside.
    Poststart,
    /// The container is gone; outside.
    Poststop,
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }

    #[allow(deprecated)]
    fn of(self, hooks: &Hooks) -> Option<&Vec<Hook>> {
        match self {
            Self::Prestart => hooks.prestart().as_ref(),
            Self::CreateRuntime => hooks.create_runtime().as_ref(),
            Self::CreateContainer => hooks.create_container().as_ref(),
            Self::StartContainer => hooks.start_container().as_ref(),
            Self::Poststart => hooks.poststart().as_ref(),
            Self::Poststop => hooks.poststop().as_ref(),
        }
    }
}

/// Whose hooks they are: what each is told on its standard input.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The configuration.
    pub spec: &'a Spec,
    /// The container's name.
    pub id: &'a str,
    /// Its bundle.
    pub bundle: &'a str,
    /// Its first process, unless there is none any more.
    pub pid: Option<i32>,
    /// `creating`, `created`, `running`, `stopped`.
    pub status: &'a str,
}

/// Are there hooks for this moment?
pub fn any(spec: &Spec, moment: Moment) -> bool {
    spec.hooks()
        .as_ref()
        .and_then(|hooks| moment.of(hooks))
        .is_some_and(|list| !list.is_empty())
}

/// Runs the hooks of a moment, in their order, until one fails.
pub fn run(about: About<'_>, moment: Moment) -> Result<()> {
    let Some(list) = about.spec.hooks().as_ref().and_then(|h| moment.of(h)) else {
        return Ok(());
    };
    let mut state = json!({
        "ociVersion": about.spec.version(),
        "id": about.id,
        "status": about.status,
        "bundle": about.bundle,
    });
    if let Some(pid) = about.pid {
        state["pid"] = pid.into();
    }
    if let Some(annotations) = about.spec.annotations() {
        state["annotations"] = json!(annotations);
    }
    let state = state.to_string();
    for (i, hook) in list.iter().enumerate() {
        run_one(hook, &state).map_err(|why| Error::Inside {
            message: format!("error running {} hook #{i}: {why}", moment.name()),
            errno: 0,
        })?;
    }
    Ok(())
}

fn run_one(hook: &Hook, state: &str) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| format!("{}: {e}", hook.path().display());
    let mut input = memory().map_err(|e| text(&e))?;
    let mut output = memory().map_err(|e| text(&e))?;
    let prepared = input
        .write_all(state.as_bytes())
        .and_then(|()| input.rewind())
        .and_then(|()| Ok((output.try_clone()?, output.try_clone()?)));
    let (stdout, stderr) = prepared.map_err(|e| text(&e))?;
    let mut command = Command::new(hook.path());
    if let Some((name, args)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        use std::os::unix::process::CommandExt;
        command.arg0(name).args(args);
    }
    command.env_clear();
    for entry in hook.env().iter().flatten() {
        if let Some((name, value)) = entry.split_once('=') {
            command.env(name, value);
        }
    }
    command
        .stdin(input)
        .stdout(Stdio::from(stdout))
        .stderr(stderr);
    sys::process::die_with_parent(&mut command);
    let mut child = command.spawn().map_err(|e| text(&e))?;
    let in_time = match hook.timeout() {
        Some(seconds) => ends_within(&child, seconds).unwrap_or(true),
        None => true,
    };
    if !in_time {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|e| text(&e))?;
    if in_time && status.success() {
        return Ok(());
    }
    let mut said = Vec::new();
    let _ = output.rewind();
    let _ = output.take(MAX_OUTPUT).read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    Err(if in_time {
        format!(
            "{}: {status}, output: {}",
            hook.path().display(),
            said.trim()
        )
    } else {
        let seconds = hook.timeout().unwrap_or_default();
        format!(
            "{}: did not end within {seconds} seconds and was killed, output: {}",
            hook.path().display(),
            said.trim()
        )
    })
}

/// A file in memory: neither a full pipe nor a reader that never reads can hold us up.
fn memory() -> std::io::Result<File> {
    Ok(File::from(memfd_create(c"hook", MemfdFlags::CLOEXEC)?))
}

fn ends_within(child: &Child, seconds: i64) -> Result<bool> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).context(|| "pidfd_open")?;
    // More than a year is for ever, and would not fit into a moment of the clock.
    let seconds = u64::try_from(seconds).unwrap_or_default().min(31_536_000);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(n) => return Ok(n > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).context(|| "poll"),
        }
    }
}
