//! The host's `git`, by whose own settings and keys nothing is done.

use std::{
    fs::File,
    io::Read,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use image::CancellationToken;

use crate::error::{Error, Result};

/// Bytes of what git says that are kept.
const MAX_SAID: u64 = 1 << 20;
/// How often it is looked whether git has ended, or should.
const PAUSE: Duration = Duration::from_millis(5);
/// Settings that a command line is given, whatever a repository says.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "init.defaultBranch=main",
    "advice.detachedHead=false",
    // A server that sends nothing for a minute is given up.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
];

/// Runs of `git` for one repository.
pub(super) struct Git<'a> {
    /// What of it is the caller's.
    pub temp: &'a Path,
    pub cancel: &'a CancellationToken,
    /// Settings that no other process may see.
    pub secret: Vec<(String, String)>,
    /// The socket of the client's agent.
    pub agent: Option<String>,
    /// What is not to be in messages, and what stands for it.
    pub hidden: Vec<(String, String)>,
}

impl Git<'_> {
    pub(super) fn repository(&self) -> PathBuf {
        self.temp.join("repository")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
            .args(args)
            .current_dir(self.repository())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.temp)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            // Also of submodules: no program of a repository's choice, no file of this host.
            .env("GIT_ALLOW_PROTOCOL", "http:https:git")
            .env("GIT_CONFIG_COUNT", self.secret.len().to_string())
            .stdin(Stdio::null())
            .process_group(0);
        for proxy in [
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "HTTPS_PROXY",
            "NO_PROXY",
        ] {
            if let Some(value) = std::env::var_os(proxy) {
                command.env(proxy, value);
            }
        }
        for (at, (name, value)) in self.secret.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{at}"), name);
            command.env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        if let Some(agent) = &self.agent {
            command
                .env("GIT_ALLOW_PROTOCOL", "http:https:git:ssh")
                .env("GIT_SSH_VARIANT", "ssh")
                .env("SSH_AUTH_SOCK", agent)
                .env("GIT_SSH_COMMAND", SSH);
        }
        command
    }

    /// Runs it to its end; what it wrote.
    pub(super) fn run(&self, args: &[&str]) -> Result<String> {
        // Into files: a pipe that nobody reads would stop it.
        let said = |name: &str| {
            let path = self.temp.join(name);
            let file = File::create(&path).map_err(Error::io("run git"))?;
            Ok::<_, Error>((path, file))
        };
        let ((out_path, out), (err_path, err)) = (said("out")?, said("err")?);
        let mut command = self.command(args);
        sys::process::die_with_parent(&mut command);
        let spawned = command.stdout(out).stderr(err).spawn();
        let mut child = spawned.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::invalid(
                "git repositories need the program git on the daemon's host: install it, or send \
                 the files as a context",
            ),
            _ => Error::io("run git")(e),
        })?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(Error::io("wait for git"))? {
                break status;
            }
            if self.cancel.is_cancelled() {
                // With its helpers; what is gone already is as good.
                let group = rustix::process::Pid::from_child(&child);
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                let _ = child.wait();
                return Err(Error::Cancelled);
            }
            std::thread::sleep(PAUSE);
        };
        if !status.success() {
            let mut text = read(&err_path)?;
            for (hidden, shown) in &self.hidden {
                text = text.replace(hidden, shown);
            }
            let verb = args.first().unwrap_or(&"");
            return Err(Error::invalid(format!("git {verb}: {}", text.trim())));
        }
        read(&out_path)
    }
}

/// Without the settings and keys of the daemon's user. A host's key is believed, unless the machine's
/// `/etc/ssh/ssh_known_hosts` knows another one.
const SSH: &str = "ssh -F /dev/null -o BatchMode=yes -o IdentityFile=none \
    -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR \
    -o ForwardAgent=no -o ConnectTimeout=30 -o ServerAliveInterval=15";

/// Whether a program is there.
pub(super) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn read(path: &Path) -> Result<String> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(Error::io("read what git says"))?;
    file.take(MAX_SAID)
        .read_to_end(&mut text)
        .map_err(Error::io("read what git says"))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
