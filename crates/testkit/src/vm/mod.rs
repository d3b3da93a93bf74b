//! A small emulated machine with Debian's own kernel, for what the kernel that tests usually run on
//! lacks: unified cgroups, AppArmor, systemd as the first process.
//!
//! Everything is in its first file system; there is no disk and no network. A script runs checks in
//! it and writes a line for each to the second serial port: `ok NAME`, `FAIL NAME why` or
//! `note NAME text`, and `end` when it is through.

mod cpio;
mod guest;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use self::cpio::Cpio;
use crate::cmd::{Running, run};
use crate::fixtures::workspace;

/// How long a machine may run: it is emulated, on a machine of two cores that does other things.
const LIMIT: Duration = Duration::from_secs(600);

/// Where `crates/testkit/vm` is in the machine, and what a test adds.
const HOME: &str = "vm";

/// A machine to be started.
pub struct Vm {
    files: Cpio,
    kernel: Vec<String>,
}

/// What the checks in a machine said.
pub struct Report {
    /// The names of checks that passed, in order.
    pub passed: Vec<String>,
    /// What failed, and why.
    pub failed: Vec<String>,
    /// What was measured or seen, by name.
    pub notes: Vec<(String, String)>,
    /// All that was written to the first console.
    pub console: String,
}

impl Vm {
    /// A machine whose `/vm` has the scripts of `crates/testkit/vm` and the program as
    /// `/usr/bin/wharf`; `init` is the one of them that runs first.
    pub fn new(init: &str, wharf: &Path) -> Self {
        let mut files = Cpio::default();
        files.dir(HOME);
        files.tree(&workspace().join("crates/testkit/vm"), HOME);
        files.file("usr/bin/wharf", 0o755, &stripped(wharf));
        Self {
            files,
            kernel: vec![format!("rdinit=/{HOME}/{init}")],
        }
    }

    /// With one more file in `/vm`.
    #[must_use]
    pub fn file(mut self, name: &str, path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self.files.file(&format!("{HOME}/{name}"), 0o644, &bytes);
        self
    }

    /// With words at the end of the kernel's command line.
    #[must_use]
    pub fn kernel(mut self, words: &str) -> Self {
        self.kernel.push(words.to_owned());
        self
    }

    /// Starts the machine and waits until it has turned itself off.
    #[track_caller]
    pub fn run(self) -> Report {
        let guest = guest::guest();
        let dir = tempfile::tempdir().expect("/tmp");
        let files = dir.path().join("files.cpio");
        fs::copy(guest.join("root.cpio"), &files).expect("/tmp has room");
        fs::File::options()
            .append(true)
            .open(&files)
            .and_then(|mut file| file.write_all(&self.files.finish()))
            .expect("/tmp has room");
        let kernel = format!(
            "console=ttyS0 quiet loglevel=4 panic=-1 {}",
            self.kernel.join(" ")
        );
        let serial = |name: &str| format!("file:{}", path(&dir, name).display());
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
            .args([
                "-m",
                "2048",
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
            ])
            .args(["-serial", &serial("console"), "-serial", &serial("report")])
            .arg("-kernel")
            .arg(guest.join("vmlinuz"))
            .arg("-initrd")
            .arg(&files)
            .args(["-append", &kernel]);
        let mut qemu = Running::start(&mut qemu);
        let text = |name| {
            let bytes = fs::read(path(&dir, name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\r', "")
        };
        let start = std::time::Instant::now();
        while qemu.running() {
            assert!(
                start.elapsed() < LIMIT,
                "the machine did not turn itself off; its report:\n{}\nits console:\n{}",
                text("report"),
                text("console")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        qemu.wait().ok();
        Report::parse(&text("report"), text("console"))
    }
}

fn path(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

/// A program without what only a debugger reads: a debug build is four times as large with it.
fn stripped(program: &Path) -> Vec<u8> {
    let to = tempfile::NamedTempFile::new().expect("/tmp");
    run(Command::new("strip").arg("-o").arg(to.path()).arg(program)).ok();
    fs::read(to.path()).expect("strip wrote it")
}

impl Report {
    fn parse(report: &str, console: String) -> Self {
        let (mut passed, mut failed, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        let mut ended = false;
        for line in report.lines() {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            match kind {
                "ok" => passed.push(rest.to_owned()),
                "FAIL" => failed.push(rest.to_owned()),
                "note" => {
                    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                    notes.push((name.to_owned(), text.to_owned()));
                }
                "end" => ended = true,
                _ => {}
            }
        }
        if !ended {
            failed.push("end: the checks did not come to their end".to_owned());
        }
        Self {
            passed,
            failed,
            notes,
            console,
        }
    }

    /// Panics unless exactly the checks `names` were made, and all passed.
    #[track_caller]
    pub fn expect(&self, names: &[&str]) {
        for (name, text) in &self.notes {
            println!("{name}: {text}");
        }
        let missing: Vec<_> = names
            .iter()
            .filter(|name| !self.passed.iter().any(|p| p == *name))
            .collect();
        let unknown: Vec<_> = self
            .passed
            .iter()
            .filter(|name| !names.contains(&name.as_str()))
            .collect();
        assert!(
            self.failed.is_empty() && missing.is_empty() && unknown.is_empty(),
            "failed:\n  {}\nnot passed: {missing:?}\nnot expected: {unknown:?}\nconsole:\n{}",
            self.failed.join("\n  "),
            self.console
        );
    }
}
