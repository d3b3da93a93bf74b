//! One daemon with roots, socket, log, cgroup and network namespace of its own.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::checker::Checker;
use crate::cli::Cli;
use crate::cmd::{Output, code};
use crate::engine::{Engine, Opts, wharf_bin};
use crate::host::Host;
use crate::http::Client;
use crate::leaks::Baseline;
use crate::poll::{PATIENCE, poll};
use crate::{images, leaks, processes};

/// A running (or just killed) daemon and all that is its own. Dropping it ends every process it
/// started, also when it is dead itself, and removes mounts, cgroups and files.
pub struct Daemon {
    engine: Engine,
    host: Host,
    opts: Opts,
    dir: TempDir,
    id: String,
    child: Option<Child>,
    baseline: Baseline,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Daemon {
    /// A daemon on a new host with the busybox image in it.
    #[track_caller]
    pub fn fresh() -> Self {
        Self::with(Opts::default())
    }

    /// [`Daemon::fresh`] with options.
    #[track_caller]
    pub fn with(opts: Opts) -> Self {
        let daemon = Self::start(&Host::new(), opts);
        daemon.load(&images::busybox_tar());
        daemon
    }

    /// A daemon without images on `host`; returns when it answers.
    #[track_caller]
    pub fn start(host: &Host, opts: Opts) -> Self {
        let mut daemon = Self::prepare(host, opts);
        daemon.restart();
        daemon.baseline = Baseline::of(&daemon);
        daemon
    }

    /// Starts a daemon that must end by itself instead of answering; what it said.
    #[track_caller]
    pub fn refused(host: &Host, opts: Opts) -> Output {
        let mut daemon = Self::prepare(host, opts);
        daemon.spawn();
        let code = daemon.wait();
        assert_ne!(code, 0, "the daemon ended without an error");
        Output {
            what: "the daemon".into(),
            code,
            stdout: String::new(),
            stderr: daemon.log(),
        }
    }

    fn prepare(host: &Host, opts: Opts) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("tk-{}-{number}", std::process::id());
        let dir = tempfile::Builder::new()
            .prefix(&format!("{id}-"))
            .tempdir()
            .expect("/tmp");
        fs::create_dir(dir.path().join("config")).expect("our own folder");
        if let Some(size) = &opts.data_size {
            let data = dir.path().join("data");
            fs::create_dir(&data).expect("our own folder");
            let mut mount = Command::new("mount");
            mount
                .args(["-t", "tmpfs", "-o", &format!("size={size}"), "testkit"])
                .arg(data);
            crate::cmd::run(&mut mount).ok();
        }
        let (engine, host, child) = (opts.engine(), host.clone(), None);
        Self {
            engine,
            host,
            opts,
            dir,
            id,
            child,
            baseline: Baseline::default(),
        }
    }

    fn command(&self) -> Command {
        let dir = self.dir.path().display();
        let mut command = match self.engine {
            Engine::Wharf => {
                let mut command = self.program();
                if !self.opts.as_dockerd {
                    command.arg("daemon");
                }
                command.arg("--log-level=debug");
                match &self.opts.config {
                    None => command.arg("--config-file=/dev/null"),
                    Some(text) => command.arg(self.config_file(text)),
                };
                command
            }
            Engine::Dockerd => {
                let mut command = Command::new("dockerd");
                // Containers survive the daemon here only when it is told so, and it does not take
                // an empty file.
                let config = self.opts.config.as_deref().unwrap_or("{}");
                command.arg("--live-restore").arg(self.config_file(config));
                command
            }
        };
        command.args([
            format!("--host=unix://{dir}/d.sock"),
            format!("--data-root={dir}/data"),
            format!("--exec-root={dir}/exec"),
            format!("--pidfile={dir}/pid"),
            format!("--cgroup-parent=/{}", self.id),
        ]);
        for registry in &self.opts.insecure {
            command.arg(format!("--insecure-registry={registry}"));
        }
        command.args(&self.opts.args);
        command.envs(self.opts.env.iter().map(|(k, v)| (k, v)));
        // Their own tools must not be shadowed, and ours must not be reached by accident.
        command
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_CONFIG")
            .env_remove("WHARF_BIN");
        command
    }

    /// Our program, in a mount namespace of its own where files shall look different to it.
    fn program(&self) -> Command {
        let program = self.called();
        if self.opts.files.is_empty() {
            let before = self.opts.before.iter().map(PathBuf::from);
            let mut words = before.chain([program]);
            let mut command = Command::new(words.next().expect("at least the program"));
            command.args(words);
            return command;
        }
        let mut script = String::from("set -e; ");
        for (number, (path, text)) in self.opts.files.iter().enumerate() {
            let own = self.dir.path().join(format!("file-{number}"));
            fs::write(&own, text).expect("our own folder");
            script.push_str(&format!("mount --bind '{}' '{path}'; ", own.display()));
        }
        script.push_str("exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "slave",
            "sh",
            "-c",
            &script,
            "sh",
        ]);
        command.args(&self.opts.before).arg(program);
        command
    }

    /// Our program by the name it is called with.
    fn called(&self) -> PathBuf {
        if !self.opts.as_dockerd {
            return wharf_bin();
        }
        let link = self.dir.path().join("dockerd");
        if !link.exists() {
            std::os::unix::fs::symlink(wharf_bin(), &link).expect("our own folder");
        }
        link
    }

    fn config_file(&self, text: &str) -> String {
        let path = self.dir.path().join("daemon.json");
        fs::write(&path, text).expect("our own folder");
        format!("--config-file={}", path.display())
    }

    fn spawn(&mut self) {
        assert!(self.child.is_none(), "the daemon runs already");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("our own folder");
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log);
        let child = self.host.ns().within(|| command.spawn());
        self.child = Some(child.unwrap_or_else(|e| panic!("cannot start the daemon: {e}")));
    }

    /// Starts the daemon again after [`Daemon::kill9`] or [`Daemon::sigterm`]; returns when it
    /// answers.
    #[track_caller]
    pub fn restart(&mut self) {
        self.try_restart().unwrap_or_else(|code| {
            panic!(
                "the daemon ended with {code} instead of answering:\n{}",
                self.log()
            )
        });
    }

    /// [`Daemon::restart`], or the exit code of a daemon that ended before it answered.
    #[track_caller]
    pub fn try_restart(&mut self) -> Result<(), i32> {
        self.spawn();
        let client = self.client("");
        let end = Instant::now() + PATIENCE;
        loop {
            if client
                .try_send("GET", "/_ping", &[], &[])
                .is_ok_and(|r| r.status == 200)
            {
                return Ok(());
            }
            let child = self.child.as_mut().expect("just started");
            if let Some(status) = child.try_wait().expect("our own child") {
                self.child = None;
                return Err(code(status));
            }
            assert!(
                Instant::now() < end,
                "the daemon does not answer:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Adds environment for the next start.
    pub fn set_env(&mut self, env: &[(&str, &str)]) {
        self.opts.env = env
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
    }

    /// Starts another program next time, if its command goes by `$NEWER`: ours, in which only the first
    /// letter of this usage line is another one.
    pub fn set_newer(&mut self, usage: &str) {
        let mut bytes = fs::read(wharf_bin()).expect("our program");
        let usage = usage.as_bytes();
        let at = bytes.windows(usage.len()).position(|w| w == usage);
        bytes[at.expect("the usage is in it")] = b'u';
        let newer = self.dir.path().join("newer");
        fs::write(&newer, bytes).expect("our own folder");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&newer, executable).expect("our own file");
        self.set_env(&[("NEWER", newer.to_str().expect("a path"))]);
    }

    /// Adds flags for the next start.
    pub fn add_args(&mut self, args: &[&str]) {
        self.opts.args.extend(args.iter().map(ToString::to_string));
    }

    /// Ends the daemon's process, and only that, in the instant.
    #[track_caller]
    pub fn kill9(&mut self) {
        let helpers = match self.engine {
            Engine::Wharf => Vec::new(),
            Engine::Dockerd => processes::children_of(self.pid()), // its containerd
        };
        let child = self.child.as_mut().expect("the daemon runs");
        child.kill().expect("our own child");
        child.wait().expect("our own child");
        self.child = None;
        for helper in helpers {
            processes::signal(helper, Signal::KILL);
        }
    }

    /// Asks the daemon to end, and waits for it; its exit code.
    #[track_caller]
    pub fn sigterm(&mut self) -> i32 {
        processes::signal(self.pid(), Signal::TERM);
        self.wait()
    }

    /// Sends the daemon SIGHUP: it reads its configuration again.
    pub fn sighup(&self) {
        processes::signal(self.pid(), Signal::HUP);
    }

    /// Writes another text into the configuration file it was started with.
    pub fn configure(&self, text: &str) {
        self.config_file(text);
    }

    /// Waits for the end of the daemon; its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let child = self.child.as_mut().expect("the daemon was started");
        let status = poll(PATIENCE, "the end of the daemon", || {
            child.try_wait().expect("our own child")
        });
        self.child = None;
        code(status)
    }

    /// True while the daemon's process runs.
    pub fn running(&mut self) -> bool {
        let Some(child) = self.child.as_mut() else {
            return false;
        };
        if child.try_wait().expect("our own child").is_some() {
            self.child = None;
        }
        self.child.is_some()
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    pub(crate) fn pid_if_running(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The host it is on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The folder of all that is its own: `data`, `exec`, `d.sock`, `pid`, `log`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its cgroup parent, without the slash.
    pub fn cgroup_parent(&self) -> &str {
        &self.id
    }

    pub(crate) fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Everything it has written to standard output and error.
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = fs::File::open(self.log_path()) {
            let _ = file.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn cli(&self, program: impl Into<PathBuf>) -> Cli {
        Cli::new(
            program,
            &self.dir.path().join("d.sock"),
            &self.dir.path().join("config"),
        )
    }

    /// The real `docker` CLI.
    pub fn docker(&self) -> Cli {
        self.cli("docker")
    }

    /// A socket in front of its own where every answer is compared with the description of the
    /// API; `name` must be new for this daemon.
    pub fn checked(&self, name: &str) -> Checker {
        let socket = self.dir.path().join(name);
        Checker::start(&socket, &self.dir.path().join("d.sock"))
    }

    /// Our own CLI.
    pub fn wharf(&self) -> Cli {
        self.cli(wharf_bin())
    }

    /// Every CLI that must behave alike: `docker`, and ours where it is built.
    pub fn clis(&self) -> Vec<Cli> {
        if wharf_bin().exists() {
            vec![self.docker(), self.wharf()]
        } else {
            vec![self.docker()]
        }
    }

    fn client(&self, prefix: &str) -> Client {
        Client::unix(&self.dir.path().join("d.sock"), prefix)
    }

    /// The newest version of the API that this engine speaks.
    pub fn api_version(&self) -> &'static str {
        match self.engine {
            Engine::Wharf => "1.51",
            Engine::Dockerd => "1.41",
        }
    }

    /// A client for its API at [`Daemon::api_version`].
    pub fn api(&self) -> Client {
        self.client(&format!("/v{}", self.api_version()))
    }

    /// Loads a docker-archive through the API.
    #[track_caller]
    pub fn load(&self, archive: &Path) {
        let bytes = fs::read(archive).expect("the image fixture");
        let headers = [("Content-Type", "application/x-tar")];
        let answer = self
            .client("")
            .try_send("POST", "/images/load?quiet=1", &headers, &bytes)
            .unwrap_or_else(|e| panic!("load {}: {e}\n{}", archive.display(), self.log()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains("\"error\""), "{}", answer.text());
    }

    /// `GET /containers/NAME/json`.
    #[track_caller]
    pub fn inspect(&self, container: &str) -> Value {
        self.client("")
            .get(&format!("/containers/{container}/json"))
            .expect(200)
            .json()
    }

    /// The process id of a container's first process.
    #[track_caller]
    pub fn pid_of(&self, container: &str) -> u32 {
        let pid = self.inspect(container)["State"]["Pid"]
            .as_u64()
            .expect("State.Pid");
        u32::try_from(pid).expect("a process id")
    }

    /// A container's first address on the default bridge.
    #[track_caller]
    pub fn address_of(&self, container: &str) -> std::net::IpAddr {
        let inspect = self.inspect(container);
        let address = inspect["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].as_str();
        address.expect("an address").parse().expect("an address")
    }

    /// Waits until a container's state is `status`.
    #[track_caller]
    pub fn until(&self, container: &str, status: &str) {
        poll(PATIENCE, &format!("{container} to be {status}"), || {
            (self.inspect(container)["State"]["Status"] == status).then_some(())
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(150)..];
            eprintln!(
                "--- last lines of the daemon's log\n{}\n---",
                last.join("\n")
            );
        }
        leaks::end_everything(self);
        if let Some(child) = self.child.as_mut() {
            let _ = child.wait();
        }
    }
}
