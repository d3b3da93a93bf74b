//! `--ssh ID=KEY`: an agent of the build's own, OpenSSH's, that has nothing but the named keys. It ends
//! with us, however we end: what keeps it alive is a pipe of ours.

use std::{
    fs::DirBuilder,
    io::{ErrorKind, Read},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::error::{Error, Result};

/// Waits for the end of its input, then ends the agent that it was started by. First it says that the
/// agent is there.
const KEEPER: &str = "echo ready; cat >/dev/null; kill \"$SSH_AGENT_PID\"";

/// A running agent.
#[derive(Debug)]
pub(super) struct KeyAgent {
    dir: PathBuf,
    keeper: Child,
    alive: Option<ChildStdin>,
}

impl KeyAgent {
    /// Starts one with these keys; `ssh-add` asks for what opens them.
    pub(super) fn start(id: &str, keys: &[String]) -> Result<Self> {
        let failed = |what: &str, why: &str| {
            Error::msg(format!(
                "ERROR: --ssh {id}={}: {what}: {why}",
                keys.join(",")
            ))
        };
        let missing = |program: &str, e: &std::io::Error| match e.kind() {
            ErrorKind::NotFound => failed(
                program,
                "keys are kept by OpenSSH's agent while a build runs: install openssh-client, or \
                 name the socket of an agent",
            ),
            _ => failed(program, &crate::error::errno_text(e)),
        };
        let dir = own_dir().map_err(|e| failed("make a folder", &crate::error::errno_text(&e)))?;
        let socket = dir.join("agent");
        let started = Command::new("ssh-agent")
            .arg("-a")
            .arg(&socket)
            .args(["sh", "-c", KEEPER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut keeper = match started {
            Ok(keeper) => keeper,
            Err(e) => {
                let _ = std::fs::remove_dir_all(&dir);
                return Err(missing("ssh-agent", &e));
            }
        };
        let alive = keeper.stdin.take();
        let mut out = keeper.stdout.take();
        let agent = Self { dir, keeper, alive };
        let mut word = [0; 6];
        let ready = out.as_mut().map(|out| out.read_exact(&mut word));
        if !matches!(ready, Some(Ok(()))) {
            return Err(failed("ssh-agent", "it does not start"));
        }
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg("--")
            .args(keys)
            .env("SSH_AUTH_SOCK", &socket)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| missing("ssh-add", &e))?;
        if !added.status.success() {
            let why = String::from_utf8_lossy(&added.stderr);
            return Err(failed("failed to add the key", why.trim()));
        }
        Ok(agent)
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> String {
        self.dir.join("agent").to_string_lossy().into_owned()
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.keeper.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A folder that nobody else can look into.
fn own_dir() -> std::io::Result<PathBuf> {
    let temp = std::env::temp_dir();
    for number in 0..1000 {
        let path = temp.join(format!("wharf-ssh-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_the_key_and_goes_with_us() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "of-the-test", "-f"])
            .arg(&key)
            .status()
            .unwrap();
        assert!(made.success());
        let key = key.display().to_string();
        let agent = KeyAgent::start("a", std::slice::from_ref(&key)).unwrap();
        let listed = Command::new("ssh-add")
            .arg("-l")
            .env("SSH_AUTH_SOCK", agent.socket())
            .output()
            .unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.contains("of-the-test"), "{listed}");
        let socket = agent.socket();
        drop(agent);
        assert!(std::os::unix::net::UnixStream::connect(socket).is_err());
        let error = KeyAgent::start("a", &["/etc/hostname".to_owned()]).unwrap_err();
        assert!(
            error.to_string().contains("failed to add the key"),
            "{error}"
        );
    }
}
