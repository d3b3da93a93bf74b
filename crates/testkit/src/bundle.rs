//! OCI bundles of busybox, and running them by an OCI runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cmd::{Output, Running, run};
use crate::engine::wharf_bin;
use crate::fixtures::workspace;
use crate::images;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The runtime under test: ours, unless `WHARF_OCI_RUNTIME` names another program (Debian's runc, to
/// see what a test expects of it).
pub fn oci_runtime() -> Vec<String> {
    match std::env::var("WHARF_OCI_RUNTIME") {
        Ok(program) => vec![program],
        Err(_) => vec![wharf_bin().display().to_string(), "runtime".to_owned()],
    }
}

/// A bundle with a root file system of busybox and the configuration that Docker's defaults give.
/// Dropping it removes the container, and panics if a mount or a cgroup of it is left.
pub struct Bundle {
    dir: TempDir,
    id: String,
    /// What becomes `config.json` with the next command that makes a container.
    pub config: Value,
}

/// The default profile as a configuration says it, for Docker's default capabilities on x86_64.
fn default_filter() -> Value {
    let profile = workspace().join("crates/runtime/src/seccomp-default.json");
    let profile = fs::read(profile).expect("the default profile");
    let profile: Value = serde_json::from_slice(&profile).expect("JSON");
    let lists = |rule: &Value, pointer: &str| {
        let list = rule.pointer(pointer).and_then(Value::as_array);
        list.map(|l| l.iter().any(|v| v == "amd64"))
    };
    let applies = |rule: &&Value| {
        rule.pointer("/includes/caps").is_none()
            && lists(rule, "/includes/arches") != Some(false)
            && lists(rule, "/excludes/arches") != Some(true)
    };
    let rules = profile["syscalls"].as_array().expect("a list").iter();
    let rules: Vec<_> = rules
        .filter(applies)
        .map(|rule| {
            let mut rule = rule.as_object().expect("an object").clone();
            rule.retain(|name, value| {
                ["names", "action", "errnoRet", "args"].contains(&name.as_str()) && !value.is_null()
            });
            Value::Object(rule)
        })
        .collect();
    json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    })
}

impl Default for Bundle {
    fn default() -> Self {
        Self::new()
    }
}

impl Bundle {
    /// A new one, with layers of the test's own on top.
    pub fn with(layers: &[Vec<u8>]) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("tkb-{}-{number}", std::process::id());
        let prefix = format!("{id}-");
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir();
        let dir = dir.expect("a folder");
        let root = dir.path().join("rootfs");
        fs::create_dir(&root).expect("a root");
        let busybox = images::busybox_layer();
        for layer in std::iter::once(&busybox).chain(layers) {
            tar::Archive::new(layer.as_slice())
                .unpack(&root)
                .expect("to be unpacked");
        }
        let golden = workspace().join("crates/runtime/tests/golden/plain.json");
        let golden = fs::read(golden).expect("the configuration of Docker's defaults");
        let mut config: Value = serde_json::from_slice(&golden).expect("JSON");
        config["linux"]["seccomp"] = default_filter();
        config["linux"]["cgroupsPath"] = json!(format!("/wharf-{id}"));
        for namespace in config["linux"]["namespaces"]
            .as_array_mut()
            .expect("a list")
        {
            namespace.as_object_mut().expect("an object").remove("path");
        }
        Self { dir, id, config }
    }

    /// A plain one.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its root file system.
    pub fn root(&self) -> PathBuf {
        self.dir().join("rootfs")
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A member of the configuration by its JSON pointer.
    #[track_caller]
    pub fn at(&mut self, pointer: &str) -> &mut Value {
        self.config.pointer_mut(pointer).expect("a member")
    }

    /// What the container runs.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.config["process"]["args"] = json!(args);
        self
    }

    /// What a shell in the container runs.
    #[must_use]
    pub fn shell(self, script: &str) -> Self {
        self.args(&["sh", "-c", script])
    }

    /// Gives it a user namespace of its own, whose root is nobody on the host, and the files to that.
    #[track_caller]
    pub fn remap(&mut self) {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        let linux = self.at("/linux");
        linux["uidMappings"] = map.clone();
        linux["gidMappings"] = map;
        // Docker's default reaches over more groups than there are in it.
        linux["sysctl"] = json!({});
        let namespaces = linux["namespaces"].as_array_mut().expect("a list");
        namespaces.push(json!({"type": "user"}));
        let mut chown = Command::new("chown");
        run(chown.args(["-hR", "100000:100000"]).arg(self.root())).ok();
    }

    /// The runtime's command with this bundle's state directory.
    pub fn command(&self, args: &[&str]) -> Command {
        let runtime = oci_runtime();
        let mut command = Command::new(&runtime[0]);
        command
            .args(&runtime[1..])
            .arg("--root")
            .arg(self.dir().join("state"));
        command
            .args(args)
            .current_dir(self.dir())
            .stdin(Stdio::null());
        command
    }

    /// Writes the configuration as it is now.
    pub fn write(&self) {
        fs::write(self.dir().join("config.json"), self.config.to_string()).expect("to be written");
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self) -> Output {
        self.write();
        run(&mut self.command(&["run", &self.id]))
    }

    /// Starts it in the background; the number of its process.
    #[track_caller]
    pub fn start(&self) -> u32 {
        self.write();
        let mut command = self.command(&["run", "--detach", "--pid-file", "pid", &self.id]);
        // A pipe to us would be kept open by the container.
        let status = command
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .status();
        assert!(status.expect("the runtime is there").success());
        let pid = fs::read_to_string(self.dir().join("pid")).expect("the number");
        pid.trim().parse().expect("a number")
    }

    /// Starts it in the foreground, as a program that goes on.
    #[track_caller]
    pub fn spawn(&self) -> Running {
        self.write();
        Running::start(&mut self.command(&["run", &self.id]))
    }

    /// Runs a program in it.
    #[track_caller]
    pub fn exec(&self, args: &[&str]) -> Output {
        self.exec_with(&[], args)
    }

    /// Runs a program in it, with options.
    #[track_caller]
    pub fn exec_with(&self, options: &[&str], args: &[&str]) -> Output {
        let id = [self.id.as_str()];
        run(&mut self.command(&[&["exec"], options, &id, args].concat()))
    }

    /// Runs a process that a test describes in full.
    #[track_caller]
    pub fn exec_process(&self, process: &Value) -> Output {
        let path = self.dir().join("process.json");
        fs::write(&path, process.to_string()).expect("to be written");
        run(&mut self.command(&["exec", "--process", "process.json", &self.id]))
    }

    /// Removes it, running or not.
    #[track_caller]
    pub fn delete(&self) {
        run(&mut self.command(&["delete", "--force", &self.id])).ok();
    }

    /// What is left although the container should be gone: mounts, cgroups, processes, state.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        left.extend(
            mounts
                .lines()
                .filter(|l| l.contains(&self.id))
                .map(str::to_owned),
        );
        let name = format!("wharf-{}", self.id);
        for hierarchy in fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = hierarchy.path().join(&name);
            if path.exists() {
                left.push(path.display().to_string());
            }
        }
        let state = self.dir().join("state").join(&self.id);
        if state.exists() {
            left.push(state.display().to_string());
        }
        let root = self.root();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let link = |name: &str| fs::read_link(process.path().join(name)).unwrap_or_default();
            let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).into_owned();
            if link("root") == root || arguments.contains(&self.id) {
                left.push(format!("{}: {arguments}", process.path().display()));
            }
        }
        left
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.command(&["delete", "--force", &self.id]).output();
        let left = self.left();
        if !left.is_empty() && !std::thread::panicking() {
            panic!("left behind: {left:#?}");
        }
    }
}
