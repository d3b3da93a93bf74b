//! OCI runtimes by themselves, on one bundle of busybox.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use testkit::wharf_bin;

/// Program and first arguments of an OCI runtime.
pub(crate) type Runtime = Vec<PathBuf>;

/// Ours.
pub(crate) fn wharf() -> Runtime {
    vec![wharf_bin(), "runtime".into()]
}

/// Debian's.
pub(crate) fn runc() -> Runtime {
    vec!["runc".into()]
}

/// A bundle whose process is `true`, removed at its end.
pub(crate) struct Bundle {
    dir: tempfile::TempDir,
}

impl Bundle {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("wharf-bench-")
            .tempdir()
            .expect("a folder");
        let bin = dir.path().join("rootfs/bin");
        fs::create_dir_all(&bin).expect("a root file system");
        fs::copy("/bin/busybox", bin.join("true")).expect("busybox-static is installed");
        let made = Command::new("runc")
            .arg("spec")
            .current_dir(dir.path())
            .status();
        assert!(made.expect("runc is installed").success());
        let path = dir.path().join("config.json");
        let text = fs::read_to_string(&path).expect("a configuration");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["process"]["args"] = json!(["/bin/true"]);
        config["process"]["terminal"] = json!(false);
        fs::write(&path, config.to_string()).expect("to be written");
        Self { dir }
    }

    /// Runs it once.
    pub(crate) fn run(&self, runtime: &Runtime) {
        let status = Command::new(&runtime[0])
            .args(&runtime[1..])
            .arg("--root")
            .arg(self.dir.path().join("state"))
            .args(["run", "-b"])
            .arg(self.dir.path())
            .arg(format!("bench-{}", std::process::id()))
            .stdin(Stdio::null())
            .status();
        assert!(status.expect("the runtime is there").success());
    }
}
