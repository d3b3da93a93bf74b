//! One engine, and what is measured of it.

pub(crate) mod copies;
mod live;
mod logs;
pub(crate) mod oci;
pub(crate) mod traffic;

use std::{
    fs,
    time::{Duration, Instant},
};

use testkit::{Cli, Daemon, Engine, poll, pss_of, rss_of};

/// How long something takes.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Runs a command that may take longer than any test would wait.
pub(crate) fn patiently(cli: &Cli, line: &str) {
    let done = cli.command(line).output().expect("the CLI starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "`{line}`: {said}");
}

/// An engine with a daemon of its own.
pub(crate) struct Peer {
    pub(crate) daemon: Daemon,
}

impl Peer {
    pub(crate) fn new(daemon: Daemon) -> Self {
        Self { daemon }
    }

    /// KiB of the daemon and its helpers.
    pub(crate) fn idle(&self) -> u64 {
        settled(|| self.daemon.processes().into_iter().map(rss_of).sum())
    }

    /// KiB of PSS of all that an engine adds for one idle container: everything that was not there
    /// before, but the container's own process.
    pub(crate) fn container(&self, flags: &str) -> u64 {
        let before = self.daemon.processes();
        let docker = self.daemon.docker();
        docker.ok(&format!("run -d --name idle {flags} busybox sleep 100000"));
        let own = self.daemon.pid_of("idle");
        let pss = settled(|| {
            let all = self.daemon.processes().into_iter();
            let added = all.filter(|p| !before.contains(p) && *p != own);
            added.map(pss_of).sum()
        });
        docker.ok("rm -f idle");
        pss
    }

    /// The highest resident size, in KiB, that any of the daemon's processes has had, together.
    pub(crate) fn peak(&self) -> u64 {
        let peak = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
            line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or(0)
        };
        self.daemon.processes().into_iter().map(peak).sum()
    }

    /// Our own command line where it is our engine; Docker has none but docker's.
    pub(crate) fn cli(&self) -> Cli {
        match self.daemon.engine() {
            Engine::Wharf => self.daemon.wharf(),
            Engine::Dockerd => self.daemon.docker(),
        }
    }

    /// Removes the first `count` of the numbered containers, by one command.
    pub(crate) fn remove_many(&self, count: usize) {
        self.daemon.docker().ok(&format!("rm -f {}", many(count)));
    }
}

/// The names of the first `count` numbered containers.
pub(crate) fn many(count: usize) -> String {
    let names: Vec<_> = (0..count).map(|n| format!("many-{n}")).collect();
    names.join(" ")
}

/// A size once it stays the same for a moment.
fn settled(measure: impl Fn() -> u64) -> u64 {
    let mut last = (0, Instant::now());
    poll(Duration::from_secs(60), "memory to settle", || {
        let now = measure();
        if now.abs_diff(last.0) > 64 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(2)).then_some(now)
    })
}
