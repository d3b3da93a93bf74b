//! A process that is not mistaken for another which got its number later.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde::{Deserialize, Serialize};

use crate::oci::{Context, Error, Result};

/// A process, by its number and the moment it began, which two of the same number do not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Its number, as we count.
    pub pid: i32,
    /// In clock ticks since the machine started.
    start_time: u64,
}

impl Process {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Result<Self> {
        let found = look(pid).context(|| format!("look at process {pid}"))?;
        Ok(Self {
            pid,
            start_time: found.start_time,
        })
    }

    /// Is it there, and not only waiting for somebody to ask how it ended?
    pub fn is_alive(&self) -> bool {
        look(self.pid)
            .is_ok_and(|p| p.start_time == self.start_time && !matches!(p.state, b'Z' | b'X'))
    }

    /// Holds on to it: what is done through the descriptor meets this process or none.
    pub fn open(&self) -> Result<OwnedFd> {
        let gone = || Error::State("container not running".to_owned());
        let pid = Pid::from_raw(self.pid).ok_or_else(gone)?;
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Err(gone()),
            other => other.context(|| format!("open process {}", self.pid))?,
        };
        // Looked at after it was opened: if it is the right one now, that is what was opened.
        if self.is_alive() { Ok(fd) } else { Err(gone()) }
    }

    /// Sends it a signal.
    pub fn kill(&self, signal: i32) -> Result<()> {
        match sys::pidfd::send_signal(self.open()?.as_fd(), signal) {
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                Err(Error::State("container not running".to_owned()))
            }
            other => other.context(|| format!("send signal {signal} to process {}", self.pid)),
        }
    }

    /// Waits for its end; false if that does not come in time.
    pub fn ends_within(&self, patience: Duration) -> bool {
        let Ok(fd) = self.open() else {
            return true;
        };
        let until = Instant::now() + patience;
        while self.is_alive() {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(
                &mut [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)],
                Some(&left),
            ) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(_) => {}
            }
        }
        true
    }
}

struct Found {
    state: u8,
    start_time: u64,
}

fn look(pid: i32) -> io::Result<Found> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse(&text).ok_or_else(|| io::Error::other("unreadable /proc/PID/stat"))
}

/// The name, in parentheses, may hold anything, also parentheses: what counts comes after the last.
fn parse(stat: &[u8]) -> Option<Found> {
    let end = stat.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // The state is field 3, the start field 22.
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Found { state, start_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_confuse() {
        let stat = b"7 (a) R (b)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 2 3\n";
        let found = parse(stat).unwrap();
        assert_eq!((found.state, found.start_time), (b'S', 4711));
        assert!(parse(b"7 (a S 1").is_none());
    }

    #[test]
    fn a_reused_number_is_another_process() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(process.is_alive());
        let mut other = process;
        other.start_time += 1;
        assert!(!other.is_alive());
        assert!(other.open().is_err());
        process.open().unwrap();
        child.kill().unwrap();
        // A zombie is no running process.
        while process.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(process.open().is_err());
    }
}
