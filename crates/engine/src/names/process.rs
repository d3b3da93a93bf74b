//! The name server's process: found, started, replaced by one of our program.

use std::{
    collections::BTreeMap,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::OpenOptionsExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use resolver::Client;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use sys::memfd::Program;

use super::{known::Held, told::Told};

/// How long a process may take until it listens, or until it is gone. It takes milliseconds; a
/// machine that thrashes takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long between two looks.
const PAUSE: Duration = Duration::from_micros(300);

/// What it is called, in `ps` too.
const NAME: &str = "wharf-dns";

/// The name server of one exec root.
pub(super) struct Server {
    program: Program,
    control: PathBuf,
    known: PathBuf,
    /// What it has to say; it bounds the file itself.
    log: PathBuf,
    running: Option<Running>,
}

struct Running {
    pid: u32,
    pidfd: OwnedFd,
    /// Where this daemon started it.
    child: Option<Child>,
}

impl Server {
    pub(super) fn new(exec_root: &Path, program: &[u8]) -> io::Result<Self> {
        Ok(Self {
            program: Program::new(NAME, program)?,
            control: exec_root.join("names.sock"),
            known: exec_root.join("names.json"),
            log: exec_root.join("names.log"),
            running: None,
        })
    }

    /// A connection to a name server of our program that knows everything in `held`.
    pub(super) fn reach(&mut self, held: &BTreeMap<String, Held>) -> io::Result<Told> {
        let mut inherited = BTreeMap::new();
        if let Ok(mut client) = Client::connect(&self.control) {
            let pid = client.process().map_err(plain)?;
            self.adopt(pid)?;
            match client.status() {
                Ok(status) if self.is_ours(pid) => {
                    let mut told = Told::new(client, status.serving);
                    if told.all(held, inherited).is_ok() {
                        return Ok(told);
                    }
                    // It went away meanwhile.
                    inherited = BTreeMap::new();
                }
                Ok(status) => {
                    tracing::info!(pid, "the name server is of another version: it is replaced");
                    // Questions that come from now on wait in the sockets.
                    for id in status.serving {
                        if let Ok(fds) = client.descriptors(&id) {
                            inherited.insert(id, fds);
                        }
                    }
                    let _ = client.stop();
                }
                Err(error) => {
                    tracing::warn!(pid, %error, "the name server does not answer: it is replaced");
                }
            }
            self.end()?;
        }
        let client = self.start()?;
        let mut told = Told::new(client, Vec::new());
        told.all(held, inherited).map_err(plain)?;
        Ok(told)
    }

    /// Ends a name server that an earlier daemon left.
    pub(super) fn stop_other(&self) -> io::Result<()> {
        match Client::connect(&self.control) {
            Ok(mut client) => client.stop().map_err(plain),
            Err(_) => Ok(()),
        }
    }

    /// Its process, to be waited for.
    pub(super) fn pidfd(&self) -> Option<io::Result<OwnedFd>> {
        let running = self.running.as_ref()?;
        Some(running.pidfd.as_fd().try_clone_to_owned())
    }

    /// Forgets a process that is gone; true if there was one.
    pub(super) fn reap(&mut self) -> bool {
        let mut gone = self.running.take_if(|r| ended(&r.pidfd, Duration::ZERO));
        if let Some(mut child) = gone.as_mut().and_then(|r| r.child.take()) {
            // It has ended, so this does not wait.
            let _ = child.wait();
        }
        gone.is_some()
    }

    fn adopt(&mut self, pid: u32) -> io::Result<()> {
        self.reap();
        if self.running.as_ref().is_some_and(|r| r.pid == pid) {
            return Ok(());
        }
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| io::Error::other("the name server has no process"))?;
        self.running = Some(Running {
            pid,
            pidfd: pidfd_open(number, PidfdFlags::empty())?,
            child: None,
        });
        Ok(())
    }

    /// Is that process one of the program that we carry?
    fn is_ours(&self, pid: u32) -> bool {
        let theirs = fs::read(format!("/proc/{pid}/exe"));
        let ours = fs::read(self.program.path());
        matches!((theirs, ours), (Ok(theirs), Ok(ours)) if theirs == ours)
    }

    /// Waits until the process is gone; kills it, if it does not go.
    fn end(&mut self) -> io::Result<()> {
        if let Some(running) = &self.running
            && !ended(&running.pidfd, Duration::from_secs(1))
        {
            sys::pidfd::send_signal(running.pidfd.as_fd(), 9)?;
            if !ended(&running.pidfd, PATIENCE) {
                return Err(io::Error::other("the old name server does not end"));
            }
        }
        self.reap();
        Ok(())
    }

    /// Starts one, and connects to it.
    fn start(&mut self) -> io::Result<Client> {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.log)?;
        let mut child = Command::new(self.program.path())
            .arg0(NAME)
            .arg("--control")
            .arg(&self.control)
            .arg("--state")
            .arg(&self.known)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let pid = child.id();
        let begun = Instant::now();
        loop {
            // Another daemon's may listen there still; ours ends then.
            if let Ok(client) = Client::connect(&self.control)
                && client.process().is_ok_and(|p| p == pid)
            {
                let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
                self.running = Some(Running {
                    pid,
                    pidfd,
                    child: Some(child),
                });
                return Ok(client);
            }
            if let Some(status) = child.try_wait()? {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let last = said.lines().last().unwrap_or_default();
                return Err(io::Error::other(format!(
                    "{NAME} ended at once: {status}: {last}"
                )));
            }
            if begun.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                return Err(io::Error::other(format!("{NAME} does not listen")));
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

fn plain(error: resolver::Error) -> io::Error {
    match error {
        resolver::Error::Gone(error) => error,
        refused @ resolver::Error::Refused(_) => io::Error::other(refused),
    }
}
