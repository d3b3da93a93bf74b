//! A container made by hand: a bundle, a busybox root file system on a detached mount, and the
//! real static shim. Everything is removed when it is dropped, also when a test fails.

use std::{
    env, fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use runtime::spec::ContainerSpec;
use runtime::{
    Host, Remains,
    client::{self, Connection},
    launch::{self, ShimProcess},
    protocol::{
        Event, ExecRequest, Exit, FdRole, Frame, Launch, Request, Response, State, VERSION,
    },
};
use rustix::mount::{OpenTreeFlags, open_tree};
use serde_json::{Value, json};
use sys::memfd::Program;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the programs as `crates/wharf/build.rs` does, into the same place.
pub(crate) fn program_path(name: &str) -> PathBuf {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("static");
            let mut command = Command::new(env!("CARGO"));
            command
                .current_dir(root)
                .args(["build", "--quiet", "--locked", "--profile", "tiny"]);
            command.args([
                "--target",
                TARGET,
                "-p",
                "shim",
                "-p",
                "hello",
                "--target-dir",
            ]);
            command.arg(&target);
            for (name, _) in env::vars_os() {
                let text = name.to_string_lossy();
                if (text.starts_with("CARGO_") && text != "CARGO_HOME")
                    || (text.starts_with("RUST") && !text.starts_with("RUSTUP_"))
                {
                    command.env_remove(&name);
                }
            }
            command.env(
                "CARGO_ENCODED_RUSTFLAGS",
                "-Crelocation-model=static\u{1f}-Ctarget-feature=+crt-static",
            );
            assert!(command.status().unwrap().success());
            target.join(TARGET).join("tiny")
        })
        .join(name)
}

/// The shim, as the daemon holds it.
pub(crate) fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        Program::new("wharf-shim", &fs::read(program_path("wharf-shim")).unwrap()).unwrap()
    })
}

/// Waits until `what` holds.
pub(crate) fn eventually(text: &str, mut what: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < end, "did not happen: {text}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) struct Container {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) launch: Launch,
    pub(crate) config: Value,
    pub(crate) shim: Option<ShimProcess>,
    adopted: bool,
}

impl Container {
    /// A container that runs `args`, not launched yet.
    pub(crate) fn new(args: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::Builder::new()
            .prefix("wharf-shim-")
            .tempdir()
            .unwrap();
        let id = format!(
            "t{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let bundle = dir.path().join("bundle");
        fs::create_dir(&bundle).unwrap();
        make_rootfs(&dir.path().join("layers"));
        let launch = Launch {
            version: VERSION,
            id: id.clone(),
            bundle: bundle.to_str().unwrap().to_owned(),
            runtime: runtime::protocol::OWN_RUNTIME.to_owned(),
            runtime_root: dir.path().join("state").to_str().unwrap().to_owned(),
            cgroup: format!("/wharf-shim-test-{id}"),
            tty: false,
            size: None,
            open_stdin: false,
            stdin_once: false,
            log: Some(dir.path().join("log").to_str().unwrap().to_owned()),
            log_options: runtime::logfile::LogOptions::default(),
            owner: None,
            fds: vec![FdRole::Rootfs],
        };
        let config = to_config(&spec(&launch, args));
        Self {
            dir,
            launch,
            config,
            shim: None,
            adopted: false,
        }
    }

    /// One that another process started, and left.
    pub(crate) fn adopted(launch: Launch) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = to_config(&spec(&launch, &["x"]));
        Self {
            dir,
            launch,
            config,
            shim: None,
            adopted: true,
        }
    }

    pub(crate) fn tty(mut self) -> Self {
        self.launch.tty = true;
        self.config["process"]["terminal"] = json!(true);
        self
    }

    pub(crate) fn stdin(mut self, once: bool) -> Self {
        self.launch.open_stdin = true;
        self.launch.stdin_once = once;
        self
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.path().join("layers")
    }

    pub(crate) fn bundle(&self) -> &Path {
        Path::new(&self.launch.bundle)
    }

    fn rootfs_fd(&self) -> OwnedFd {
        open_tree(
            rustix::fs::CWD,
            self.rootfs(),
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        )
        .unwrap()
    }

    pub(crate) fn write_config(&self) {
        fs::write(self.bundle().join("config.json"), self.config.to_string()).unwrap();
    }

    /// Launches the shim; more descriptors may be given than the root file system.
    pub(crate) fn launch_with(&mut self, more: &[(FdRole, BorrowedFd<'_>)]) {
        self.write_config();
        let rootfs = self.rootfs_fd();
        let mut fds = vec![rootfs.as_fd()];
        for (role, fd) in more {
            self.launch.fds.push(*role);
            fds.push(*fd);
        }
        self.shim = Some(launch::spawn(program(), &self.launch, &fds).unwrap());
    }

    pub(crate) fn launched(mut self) -> Self {
        self.launch_with(&[]);
        self
    }

    pub(crate) fn control(&mut self) -> &mut Connection {
        &mut self.shim.as_mut().unwrap().control
    }

    pub(crate) fn try_start(&mut self) -> Response {
        self.control().request(&Request::Start).unwrap()
    }

    pub(crate) fn start(&mut self) -> i32 {
        match self.try_start() {
            Response::Started { pid } => pid,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn started(self) -> Self {
        let mut container = self.launched();
        container.start();
        container
    }

    pub(crate) fn connect(&self) -> Connection {
        let connection = client::connect(self.bundle()).unwrap();
        connection
            .stream()
            .set_read_timeout(Some(PATIENCE))
            .unwrap();
        connection
    }

    pub(crate) fn attach(&self, stdin: bool) -> Connection {
        let mut connection = self.connect();
        let request = Request::Attach {
            stdin,
            stdout: true,
            stderr: true,
            logs: false,
        };
        assert_eq!(
            connection.request(&request).unwrap(),
            Response::Attached { log: None }
        );
        connection
    }

    pub(crate) fn state(&self) -> State {
        match self.connect().request(&Request::State).unwrap() {
            Response::State(state) => state,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn exec(&self, id: &str, args: &[&str]) -> ExecRequest {
        let mut process = self.config["process"].clone();
        process["args"] = json!(args);
        process["terminal"] = json!(false);
        ExecRequest {
            id: id.to_owned(),
            process: process.to_string(),
            tty: false,
            size: None,
            stdin: false,
            stdout: true,
            stderr: true,
        }
    }

    /// Runs an exec; what it wrote, and how it ended.
    pub(crate) fn run_exec(&self, request: ExecRequest, input: &[u8]) -> (String, Exit) {
        let mut connection = self.connect();
        let response = connection
            .request(&Request::Exec(Box::new(request)))
            .unwrap();
        assert!(
            matches!(response, Response::ExecStarted { .. }),
            "{response:?}"
        );
        if !input.is_empty() {
            connection.send(&Frame::Stdin(input.to_vec())).unwrap();
            connection.send(&Frame::CloseStdin).unwrap();
        }
        let (out, _, event) = collect(&mut connection);
        match event {
            Some(Event::ExecExited { exit, .. }) => (out, exit),
            other => panic!("{other:?}, after {out:?}"),
        }
    }

    /// Waits for the shim to end, and for the record it leaves.
    pub(crate) fn exit(&mut self) -> Exit {
        let path = self.bundle().join("exit.json");
        eventually("exit.json", || path.exists());
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// Waits until the shim itself is gone.
    pub(crate) fn shim_ends(&mut self) {
        let mut shim = self.shim.take().unwrap();
        drop(shim.control);
        eventually("the shim ends", || shim.child.try_wait().unwrap().is_some());
    }

    pub(crate) fn shim_pid(&self) -> i32 {
        self.shim.as_ref().unwrap().child.id() as i32
    }

    pub(crate) fn cleanup(&self) {
        runtime::cleanup(Remains {
            id: &self.launch.id,
            cgroup: &self.launch.cgroup,
            runtime_root: Path::new(&self.launch.runtime_root),
        })
        .unwrap();
    }

    /// The log's records: stream and text.
    pub(crate) fn log(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.launch.log.as_ref().unwrap()).unwrap();
        text.lines()
            .map(|line| {
                let value: Value = serde_json::from_str(line).unwrap();
                let of = |key: &str| value[key].as_str().unwrap().to_owned();
                (of("stream"), of("log"))
            })
            .collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(mut shim) = self.shim.take() {
            let _ = shim.child.kill();
            let _ = shim.child.wait();
        }
        let _ = runtime::cleanup(Remains {
            id: &self.launch.id,
            cgroup: &self.launch.cgroup,
            runtime_root: Path::new(&self.launch.runtime_root),
        });
        if self.adopted {
            let _ = fs::remove_dir_all(Path::new(&self.launch.bundle).parent().unwrap());
        }
    }
}

/// Reads a stream to its end: output, error, and the last event.
pub(crate) fn collect(connection: &mut Connection) -> (String, String, Option<Event>) {
    let (mut out, mut err, mut last) = (Vec::new(), Vec::new(), None);
    while let Some(frame) = connection.next_frame().unwrap() {
        match frame {
            Frame::Stdout(bytes) => out.extend(bytes),
            Frame::Stderr(bytes) => err.extend(bytes),
            Frame::Event(event) => last = Some(event),
            other => panic!("{other:?}"),
        }
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out), text(err), last)
}

/// Reads output until it contains `text`.
pub(crate) fn read_until(connection: &mut Connection, text: &str) -> String {
    let mut got = String::new();
    while !got.contains(text) {
        match connection.next_frame().unwrap() {
            Some(Frame::Stdout(bytes) | Frame::Stderr(bytes)) => {
                got.push_str(&String::from_utf8_lossy(&bytes));
            }
            other => panic!("{other:?} while waiting for {text:?} after {got:?}"),
        }
    }
    got
}

/// The exit code a stream ends with.
pub(crate) fn code(event: Option<Event>) -> i32 {
    match event {
        Some(Event::Exited(exit)) => exit.code,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn alive(pid: i32) -> bool {
    // A zombie that nobody reaps yet is dead.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| {
        !s.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with(['Z', 'X']))
    })
}

fn make_rootfs(root: &Path) {
    for dir in ["bin", "proc", "dev", "sys", "etc", "tmp", "root"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in [
        "sh", "true", "false", "echo", "cat", "sleep", "seq", "stty", "kill", "dd", "id", "head",
        "yes", "ls", "tr", "wc", "mkdir", "usleep",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
}

/// The configuration as the engine makes it, with a network namespace of the runtime's own making.
pub(crate) fn spec(launch: &Launch, args: &[&str]) -> ContainerSpec {
    ContainerSpec {
        args: args.iter().map(|a| (*a).to_owned()).collect(),
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        hostname: "test".to_owned(),
        cgroup: launch.cgroup.clone(),
        host_cgroupns: true,
        ..ContainerSpec::default()
    }
}

/// As `config.json`.
pub(crate) fn to_config(spec: &ContainerSpec) -> Value {
    serde_json::to_value(runtime::spec::build(spec, &Host::detect()).unwrap().spec).unwrap()
}
