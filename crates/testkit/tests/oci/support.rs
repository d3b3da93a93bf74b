//! A runtime with a state directory of its own, and bundles.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Output, PATIENCE, eventually, poll, run};

/// The runtime under test. What it left running is removed when this goes.
pub(crate) struct Runtime {
    words: Vec<PathBuf>,
    pub(crate) dir: TempDir,
}

impl Runtime {
    pub(crate) fn new() -> Self {
        let words = match std::env::var_os("RUNTIME") {
            Some(other) => vec![other.into()],
            None => vec![testkit::wharf_bin(), "runtime".into()],
        };
        let dir = TempDir::new().expect("/tmp is writable");
        Self { words, dir }
    }

    /// False for what only we promise.
    pub(crate) fn is_wharf(&self) -> bool {
        self.words.len() > 1
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .arg("--root")
            .arg(self.root());
        command.args(args).current_dir(self.dir.path());
        command
    }

    /// Runs a command that ends with all it has started.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.run(args).ok()
    }

    /// Runs a command whose container goes on, with files as its output.
    #[track_caller]
    pub(crate) fn detached(&self, args: &[&str]) -> Output {
        let (out, err) = (self.dir.path().join("out"), self.dir.path().join("err"));
        let file = |path: &Path| Stdio::from(fs::File::create(path).expect("a file"));
        let mut command = self.command(args);
        command
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err));
        let mut child = command.spawn().expect("the runtime is there");
        let status = poll(PATIENCE, &format!("{args:?}"), || {
            child.try_wait().expect("ours")
        });
        let read = |path: &Path| fs::read_to_string(path).expect("a file");
        Output {
            what: format!("{args:?}"),
            code: status.code().unwrap_or(128),
            stdout: read(&out),
            stderr: read(&err),
        }
    }

    #[track_caller]
    pub(crate) fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.ok(&["state", id])).expect("JSON")
    }

    #[track_caller]
    pub(crate) fn status(&self, id: &str) -> String {
        self.state(id)["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until the container is as said.
    #[track_caller]
    pub(crate) fn until(&self, id: &str, status: &str) {
        eventually(&format!("{id} is {status}"), || self.status(id) == status);
    }

    /// Creates and starts a container of `bundle`.
    #[track_caller]
    pub(crate) fn start(&self, bundle: &Bundle) -> String {
        let id = id();
        self.detached(&["run", "-d", "-b", bundle.path(), &id]).ok();
        id
    }

    #[track_caller]
    pub(crate) fn delete(&self, id: &str) {
        self.ok(&["delete", "--force", id]);
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let list = self.command(&["list", "-q"]).output();
        let list = list.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        for id in list.unwrap_or_default().lines() {
            let _ = self.command(&["delete", "--force", id]).status();
        }
    }
}

/// A name that no other test has: also that of the cgroup.
pub(crate) fn id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("oci-{}-{n}", std::process::id())
}

/// A bundle with a busybox system.
pub(crate) struct Bundle {
    dir: TempDir,
}

impl Bundle {
    /// One that runs `args`.
    pub(crate) fn new(runtime: &Runtime, args: &[&str]) -> Self {
        Self::changed(runtime, args, |_| ())
    }

    /// One that runs `script`.
    pub(crate) fn script(runtime: &Runtime, script: &str) -> Self {
        Self::new(runtime, &["sh", "-c", script])
    }

    /// One whose configuration, which `spec` makes, is changed.
    pub(crate) fn changed(
        runtime: &Runtime,
        args: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let dir = TempDir::new().expect("/tmp is writable");
        system(&dir.path().join("rootfs"));
        let bundle = Self { dir };
        runtime.ok(&["spec", "-b", bundle.path()]);
        let mut config = bundle.config();
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(args);
        config["root"]["readonly"] = json!(false);
        change(&mut config);
        bundle.write(&config);
        bundle
    }

    pub(crate) fn path(&self) -> &str {
        self.dir.path().to_str().expect("UTF-8")
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    pub(crate) fn config(&self) -> Value {
        let text = fs::read(self.dir.path().join("config.json")).expect("spec wrote it");
        serde_json::from_slice(&text).expect("JSON")
    }

    pub(crate) fn write(&self, config: &Value) {
        fs::write(self.dir.path().join("config.json"), config.to_string()).expect("writable");
    }
}

/// A busybox system in `root`.
pub(crate) fn system(root: &Path) {
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(root.join(dir)).expect("/tmp is writable");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    for applet in [
        "sh", "cat", "echo", "env", "id", "ls", "ps", "pwd", "readlink", "sleep", "stty", "test",
        "touch", "true", "tty", "grep",
    ] {
        symlink("busybox", root.join("bin").join(applet)).expect("/tmp is writable");
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").expect("/tmp is writable");
}
