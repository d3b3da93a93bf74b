//! A bundle of busybox, and a container in it whose end is waited for.

use std::{
    fs::File,
    io::Read,
    os::{fd::OwnedFd, unix::fs::symlink},
    path::{Path, PathBuf},
};

use runtime::oci::{
    Config, Result,
    cgroup::{Cgroup, Driver},
    start::{Container, Options, Prepared, Started},
};
use rustix::process::{WaitOptions, waitpid};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A bundle whose directory goes with it.
pub(crate) struct Bundle {
    dir: TempDir,
    pub(crate) id: String,
    pub(crate) config: Value,
}

/// How a container ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) output: String,
}

impl Bundle {
    /// Busybox that runs `args` in namespaces of its own.
    pub(crate) fn new(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("rootfs");
        for name in ["bin", "proc", "sys", "dev", "tmp", "etc", "root"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for applet in [
            "sh", "true", "cat", "id", "sleep", "pwd", "ls", "grep", "readlink", "hostname", "env",
            "stat", "sync", "nice", "date", "mount",
        ] {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let caps = json!(["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL"]);
        let mut config = json!({
            "ociVersion": "1.2.0",
            "root": {"path": "rootfs"},
            "hostname": "inside",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": args,
                "env": ["PATH=/usr/bin:/bin"],
                "cwd": "/",
                "noNewPrivileges": true,
                "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                 "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            ],
            "linux": {
                "namespaces": [
                    {"type": "pid"}, {"type": "mount"}, {"type": "network"}, {"type": "ipc"},
                    {"type": "uts"}, {"type": "cgroup"},
                ],
            },
        });
        let id = dir.path().file_name().unwrap().to_string_lossy();
        let id = format!("wharf-start-{}", id.trim_start_matches('.'));
        config["linux"]["cgroupsPath"] = json!(format!("/{id}"));
        Self { dir, id, config }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    pub(crate) fn process(&mut self) -> &mut Value {
        &mut self.config["process"]
    }

    pub(crate) fn linux(&mut self) -> &mut Value {
        &mut self.config["linux"]
    }

    /// The configuration as it would be read.
    pub(crate) fn parse(&self) -> Result<Config> {
        Config::parse(self.config.to_string().as_bytes())
    }

    pub(crate) fn options(&self, stdio: Option<[OwnedFd; 3]>) -> Options {
        Options {
            id: self.id.clone(),
            stdio,
            ..Options::default()
        }
    }

    pub(crate) fn prepare(&self, stdio: Option<[OwnedFd; 3]>) -> Result<Prepared> {
        Prepared::new(self.parse()?, self.path(), self.options(stdio))
    }

    /// A user namespace, and a root file system that its root owns.
    pub(crate) fn map_users(&mut self) {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        self.linux()["uidMappings"] = map.clone();
        self.linux()["gidMappings"] = map;
        self.add_namespace(json!({"type": "user"}));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(self.path(), mode).unwrap();
        give(&self.root(), 100_000);
    }

    pub(crate) fn add_namespace(&mut self, namespace: Value) {
        let list = self.linux()["namespaces"].as_array_mut().unwrap();
        list.push(namespace);
    }

    /// Where its cgroup would be.
    pub(crate) fn cgroup(&self) -> Cgroup {
        let path = self.config["linux"]["cgroupsPath"].as_str();
        Cgroup::plan(path, &self.id, Driver::Cgroupfs, false).unwrap()
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Result<Ended> {
        let (mut output, stdio) = pipes();
        let started = self.prepare(Some(stdio))?.run()?;
        let remove = Remove(started.cgroup);
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        let code = wait(&started.init);
        drop(remove);
        Ok(Ended { code, output: text })
    }
}

/// Removes a cgroup, with what is still in it.
pub(crate) struct Remove(pub(crate) Cgroup);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = self.0.kill_all(|| ());
        let _ = self.0.remove();
    }
}

/// Output and error in one pipe, and no input.
pub(crate) fn pipes() -> (File, [OwnedFd; 3]) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let stdio = [
        File::open("/dev/null").unwrap().into(),
        write.try_clone().unwrap(),
        write,
    ];
    (File::from(read), stdio)
}

/// Waits for the end.
pub(crate) fn wait(started: &Started) -> i32 {
    let (_, status) = waitpid(Some(started.pid), WaitOptions::empty())
        .unwrap()
        .unwrap();
    sys::process::exit_code(status).unwrap()
}

/// A container that runs, and ends with this.
pub(crate) struct Running {
    pub(crate) container: Container,
    output: File,
    _remove: Remove,
}

impl Running {
    pub(crate) fn start(bundle: &Bundle) -> Self {
        let (output, stdio) = pipes();
        let container = bundle.prepare(Some(stdio)).unwrap().run().unwrap();
        Self {
            _remove: Remove(container.cgroup.clone()),
            container,
            output,
        }
    }

    /// What it says before `end`.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        let mut byte = [0];
        while !text.ends_with(end) {
            assert_eq!(self.output.read(&mut byte).unwrap(), 1, "{text}");
            text.push(byte[0].into());
        }
        text.truncate(text.len() - end.len());
        text
    }
}

fn give(path: &Path, owner: u32) {
    std::os::unix::fs::lchown(path, Some(owner), Some(owner)).unwrap();
    let is_directory = std::fs::symlink_metadata(path).unwrap().is_dir();
    let entries = is_directory.then(|| std::fs::read_dir(path).unwrap());
    for entry in entries.into_iter().flatten() {
        give(&entry.unwrap().path(), owner);
    }
}
