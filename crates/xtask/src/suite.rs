//! Running all tests: against the release build, with nothing left behind.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, wait};

/// Installs what tests use, builds the program as users get it and runs every test against it. Programs that outlive their
/// test become children of this process: they are ended, and fail the run.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let root = crate::root();
    let installed = Command::new(root.join(".ci/setup"))
        .status()
        .context(".ci/setup")?;
    ensure!(installed.success(), ".ci/setup failed");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--package", "wharf"])
        .current_dir(&root)
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "the release build failed");
    set_child_subreaper(Some(rustix::process::getpid())).context("PR_SET_CHILD_SUBREAPER")?;
    let nextest = Command::new(env!("CARGO"))
        .args([
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--profile",
            "ci",
        ])
        .args(args)
        .current_dir(&root)
        .spawn()
        .context("cannot run `cargo nextest`: `cargo install --locked cargo-nextest`")?;
    // Not by `Child`: it would race with the waiting for everything else.
    let main = pid(nextest.id()).context("a process id")?;
    let passed = loop {
        let (ended, status) = wait(WaitOptions::empty())?.context("no child left to wait for")?;
        if ended == main {
            break status.exit_status() == Some(0);
        }
    };
    let left = end_strays();
    ensure!(passed, "tests failed");
    if !left.is_empty() {
        bail!("tests left processes behind:\n  {}", left.join("\n  "));
    }
    Ok(())
}

fn pid(raw: u32) -> Option<Pid> {
    i32::try_from(raw).ok().and_then(Pid::from_raw)
}

/// How long what is ending when the tests are over may take: a shim that just wrote down its exit.
const GRACE: Duration = Duration::from_secs(20);

/// Ends all children that are left; their command lines.
fn end_strays() -> Vec<String> {
    let mut left = Vec::new();
    let end = Instant::now() + GRACE;
    while !children().is_empty() && Instant::now() < end {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        std::thread::sleep(Duration::from_millis(50));
    }
    loop {
        let children = children();
        if children.is_empty() {
            return left;
        }
        for child in children {
            let line = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if !line.trim().is_empty() {
                left.push(format!("{child} {}", line.trim()));
            }
            if let Some(pid) = pid(child) {
                let _ = kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
            }
        }
    }
}

fn children() -> Vec<u32> {
    let me = std::process::id();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        parent.and_then(|p| p.parse().ok()) == Some(me)
    })
    .collect()
}
