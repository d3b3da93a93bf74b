//! A program's process, as the daemon sees it: found, started, replaced by one of our program.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sys::memfd::Program;

use crate::client::Connection;

/// How long a process may take until it listens, or until it is gone. It takes milliseconds; a
/// machine that thrashes takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long between two looks.
const PAUSE: Duration = Duration::from_micros(300);
/// So much of what it complained of is told.
const TOLD: usize = 2048;

/// The process of one exec root.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    program: Program,
    control: PathBuf,
    complaints: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    pid: u32,
    pidfd: OwnedFd,
    /// Where this daemon started it.
    child: Option<Child>,
}

impl Process {
    /// `name` is what it is called, in `ps` too; `control` the socket that it listens on. What it
    /// complains of is in a file beside that, `.err`.
    ///
    /// # Errors
    /// When there is no memory for the program.
    pub fn new(name: &'static str, program: &[u8], control: PathBuf) -> io::Result<Self> {
        Ok(Self {
            name,
            program: Program::new(name, program)?,
            complaints: control.with_extension("err"),
            control,
            running: None,
        })
    }

    /// The socket that it listens on.
    #[must_use]
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// A descriptor of it, to be waited for.
    #[must_use]
    pub fn pidfd(&self) -> Option<OwnedFd> {
        let running = self.running.as_ref()?;
        running.pidfd.as_fd().try_clone_to_owned().ok()
    }

    /// Forgets a process that is gone; true if there was one.
    pub fn reap(&mut self) -> bool {
        let mut gone = self.running.take_if(|r| ended(&r.pidfd, Duration::ZERO));
        if let Some(mut child) = gone.as_mut().and_then(|r| r.child.take()) {
            // It has ended, so this does not wait.
            let _ = child.wait();
        }
        gone.is_some()
    }

    /// What it complained of since this was asked last, if anything.
    #[must_use]
    pub fn complaints(&self) -> Option<String> {
        let text = fs::read(&self.complaints).ok().filter(|t| !t.is_empty())?;
        let _ = File::options()
            .write(true)
            .truncate(true)
            .open(&self.complaints);
        let last = &text[text.len().saturating_sub(TOLD)..];
        Some(String::from_utf8_lossy(last).trim_end().to_owned())
    }

    /// Takes the process that listens as the one to watch; is it one of the program that we carry?
    ///
    /// # Errors
    /// When it is gone.
    pub fn adopt(&mut self, pid: u32) -> io::Result<bool> {
        self.reap();
        if self.running.as_ref().is_none_or(|r| r.pid != pid) {
            let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let number = number.ok_or_else(|| io::Error::other("it has no process"))?;
            self.running = Some(Running {
                pid,
                pidfd: pidfd_open(number, PidfdFlags::empty())?,
                child: None,
            });
        }
        let theirs = fs::read(format!("/proc/{pid}/exe"));
        let ours = fs::read(self.program.path());
        Ok(matches!((theirs, ours), (Ok(theirs), Ok(ours)) if theirs == ours))
    }

    /// Lets it go on by itself: it serves nobody who is to come.
    pub fn let_go(&mut self) {
        if let Some(mut child) = self.running.take().and_then(|r| r.child) {
            // It is ours until it ends.
            let wait = move || _ = child.wait();
            let thread = std::thread::Builder::new().stack_size(64 * 1024);
            let _ = thread.spawn(wait);
        }
    }

    /// Waits until it is gone; kills it, if it does not go.
    ///
    /// # Errors
    /// When it does not end even so.
    pub fn end(&mut self) -> io::Result<()> {
        if let Some(running) = &self.running
            && !ended(&running.pidfd, Duration::from_secs(1))
        {
            return self.kill();
        }
        self.reap();
        Ok(())
    }

    /// Kills it, and waits until it is gone, which is soon.
    ///
    /// # Errors
    /// When it does not end even so.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(running) = &self.running
            && !ended(&running.pidfd, Duration::ZERO)
        {
            sys::pidfd::send_signal(running.pidfd.as_fd(), 9)?;
            if !ended(&running.pidfd, PATIENCE) {
                return Err(io::Error::other(format!(
                    "the old {} does not end",
                    self.name
                )));
            }
        }
        self.reap();
        Ok(())
    }

    /// Starts one, and connects to it.
    ///
    /// # Errors
    /// When it cannot be started, or does not listen.
    pub fn start(&mut self, further: &[&OsStr]) -> io::Result<Connection> {
        let complaints = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.complaints)?;
        let mut child = Command::new(self.program.path())
            .arg0(self.name)
            .arg("--control")
            .arg(&self.control)
            .args(further)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(complaints)
            .spawn()?;
        let pid = child.id();
        let begun = Instant::now();
        loop {
            // Another daemon's may listen there still; ours ends then.
            if let Ok(connection) = Connection::connect(&self.control)
                && connection.process().is_ok_and(|p| p == pid)
            {
                let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
                self.running = Some(Running {
                    pid,
                    pidfd,
                    child: Some(child),
                });
                return Ok(connection);
            }
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!(
                    "{} ended at once: {status}",
                    self.name
                )));
            }
            if begun.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                return Err(io::Error::other(format!("{} does not listen", self.name)));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Waits until a process has ended, no longer than so long.
fn ended(pidfd: &OwnedFd, patience: Duration) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let patience = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    matches!(poll(&mut fds, Some(&patience)), Ok(ready) if ready > 0)
}
