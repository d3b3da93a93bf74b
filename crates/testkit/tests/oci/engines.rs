//! Debian's Podman and containerd with our runtime.

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use testkit::{Output, PATIENCE, eventually, poll, run};

use crate::support::{id, system};

/// A directory with a link that is called as other engines know a runtime, and a root file system.
struct Place {
    dir: TempDir,
    runtime: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().expect("/tmp is writable");
        let runtime = match std::env::var_os("RUNTIME") {
            Some(other) => PathBuf::from("/usr/sbin").join(other),
            None => dir.path().join("wharf-runtime"),
        };
        if !runtime.exists() {
            symlink(testkit::wharf_bin(), &runtime).expect("/tmp is writable");
        }
        system(&dir.path().join("rootfs"));
        Self { dir, runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Place {
    /// The engines leave the cgroups that are above those of their containers.
    fn drop(&mut self) {
        for hierarchy in fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
        {
            for name in ["default", "libpod_parent/conmon", "libpod_parent"] {
                // One that others use is not empty, and stays.
                let _ = fs::remove_dir(hierarchy.path().join(name));
            }
        }
    }
}

struct Podman(Place);

impl Podman {
    fn new() -> Self {
        let place = Place::new();
        // This machine may not raise limits.
        let limits =
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        fs::write(place.path("containers.conf"), limits).expect("/tmp is writable");
        let tar = place.path("rootfs.tar");
        run(Command::new("tar")
            .arg("-C")
            .arg(place.path("rootfs"))
            .arg("-cf")
            .arg(&tar)
            .arg("."))
        .ok();
        let podman = Self(place);
        podman
            .run(&["import", "-q", tar.to_str().expect("UTF-8"), "box"])
            .ok();
        podman
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new("podman");
        command
            .env("CONTAINERS_CONF", self.0.path("containers.conf"))
            .arg("--root")
            .arg(self.0.path("storage"))
            .arg("--runroot")
            .arg(self.0.path("run"))
            .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
            .args(["--events-backend", "none", "--runtime"])
            .arg(&self.0.runtime)
            .args(args);
        run(&mut command)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let ids = self.run(&["ps", "-aq"]).stdout;
        for id in ids.lines() {
            self.run(&["rm", "-f", "-t", "0", id]);
        }
    }
}

#[test]
fn podman() {
    let p = Podman::new();
    let once = ["run", "--rm", "--network", "none", "box"];
    let once = |program: &[&str]| p.run(&[&once, program].concat());
    assert_eq!(once(&["echo", "hello"]).ok(), "hello");
    assert_eq!(once(&["sh", "-c", "exit 9"]).code, 9);
    assert_eq!(once(&["nope"]).code, 127);
    assert_eq!(once(&["/etc/passwd"]).code, 126);
    let out = p
        .run(&["run", "--rm", "-t", "--network", "none", "box", "tty"])
        .ok();
    assert_eq!(out.trim(), "/dev/pts/0");
    let name = id();
    p.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--memory",
        "64m",
        "--name",
        &name,
        "box",
        "sleep",
        "1000",
    ])
    .ok();
    assert!(p.run(&["exec", &name, "id"]).ok().starts_with("uid=0"));
    assert_eq!(p.run(&["exec", &name, "sh", "-c", "exit 5"]).code, 5);
    p.run(&["pause", &name]).ok();
    p.run(&["unpause", &name]).ok();
    assert!(p.run(&["ps"]).ok().contains(&name));
    p.run(&["stop", "-t", "0", &name]).ok();
    assert!(p.run(&["ps", "-a"]).ok().contains("Exited (137)"));
    p.run(&["start", &name]).ok();
    p.run(&["rm", "-f", "-t", "0", &name]).ok();
    assert_eq!(p.run(&["ps", "-aq"]).ok(), "");
}

struct Containerd {
    place: Place,
    child: Child,
}

impl Containerd {
    fn start() -> Self {
        let place = Place::new();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n",
            place.path("root"),
            place.path("state"),
            place.path("sock"),
            place.path("sock.ttrpc"),
        );
        fs::write(place.path("config.toml"), config).expect("/tmp is writable");
        let log = fs::File::create(place.path("log")).expect("/tmp is writable");
        let child = Command::new("containerd")
            .arg("--config")
            .arg(place.path("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Debian's containerd is installed");
        let this = Self { place, child };
        eventually("containerd", || this.ctr(&["version"]).code == 0);
        this
    }

    fn ctr(&self, args: &[&str]) -> Output {
        run(Command::new("ctr")
            .arg("--address")
            .arg(self.place.path("sock"))
            .args(args))
    }

    /// `ctr run` of a program in the root file system.
    fn run(&self, options: &[&str], id: &str, program: &[&str]) -> Output {
        let (runtime, root) = (self.place.runtime.clone(), self.place.path("rootfs"));
        let binary = [
            "--runc-binary",
            runtime.to_str().expect("UTF-8"),
            "--rootfs",
        ];
        let what = [root.to_str().expect("UTF-8"), id];
        self.ctr(&[&["run"], options, &binary, &what, program].concat())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for id in self.ctr(&["task", "ls", "-q"]).stdout.lines() {
            self.ctr(&["task", "rm", "-f", id]);
        }
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "{}",
                fs::read_to_string(self.place.path("log")).unwrap_or_default()
            );
        }
    }
}

#[test]
fn containerd() {
    let c = Containerd::start();
    assert_eq!(
        c.run(&["--rm"], &id(), &["/bin/echo", "hello"]).ok(),
        "hello"
    );
    assert_eq!(
        c.run(&["--rm"], &id(), &["/bin/sh", "-c", "exit 4"]).code,
        4
    );
    c.run(&["--rm"], &id(), &["/bin/nope"])
        .refused(&["/bin/nope", "no such file or directory"]);
    let id = id();
    c.run(&["-d"], &id, &["/bin/sleep", "1000"]).ok();
    let status = || {
        let list = c.ctr(&["task", "ls"]).stdout;
        let line = list
            .lines()
            .find(|l| l.starts_with(&id))
            .unwrap_or_default();
        line.split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(status(), "RUNNING");
    let out = c.ctr(&["task", "exec", "--exec-id", "e", &id, "/bin/id"]);
    assert!(out.ok().starts_with("uid=0"));
    c.ctr(&["task", "pause", &id]).ok();
    assert_eq!(status(), "PAUSED");
    c.ctr(&["task", "resume", &id]).ok();
    assert!(c.ctr(&["task", "metrics", &id]).ok().contains("memory"));
    c.ctr(&["task", "kill", "-s", "KILL", &id]).ok();
    poll(PATIENCE, "its end", || {
        (status() == "STOPPED").then_some(())
    });
    c.ctr(&["task", "rm", &id]);
    c.ctr(&["container", "rm", &id]).ok();
}
