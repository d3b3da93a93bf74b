//! Daemons on other hosts, through the user's own `ssh`: it runs `system dial-stdio` over there,
//! which joins its standard streams to the daemon's socket.

use std::{os::unix::process::CommandExt, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    process::Command,
    task::JoinHandle,
};

/// The hidden verb that runs `ssh` in a session of its own.
pub(crate) const VERB: &str = "__ssh";
/// How much of what `ssh` complains of is kept.
const COMPLAINT: u64 = 4096;

/// What `ssh://…` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ssh {
    user: String,
    host: String,
    port: String,
    /// The socket over there, where it is not the usual one.
    path: String,
}

impl Ssh {
    /// Reads what follows `ssh://`.
    pub(super) fn parse(rest: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("ssh host connection is not valid: {why}"));
        if rest.contains('?') {
            return wrong(&format!(
                "invalid SSH URL: query parameters are not allowed: {}",
                crate::format::quote(rest.split_once('?').map_or("", |(_, q)| q))
            ));
        }
        if rest.contains('#') {
            return wrong("invalid SSH URL: fragments are not allowed");
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            return wrong("invalid SSH URL: plain-text password is not supported");
        }
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (address, ""),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return wrong("invalid SSH URL: hostname is empty");
        }
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return wrong(&format!("invalid SSH URL: invalid port {port}"));
        }
        Ok(Self {
            user: user.to_owned(),
            host: host.to_owned(),
            port: port.to_owned(),
            path: if path == "/" { "" } else { path }.to_owned(),
        })
    }

    /// `ssh`'s arguments, docker's own.
    fn arguments(&self, program: &str) -> Vec<String> {
        let mut args: Vec<String> = vec!["-o ConnectTimeout=30".to_owned(), "-T".to_owned()];
        if !self.user.is_empty() {
            args.extend(["-l".to_owned(), self.user.clone()]);
        }
        if !self.port.is_empty() {
            args.extend(["-p".to_owned(), self.port.clone()]);
        }
        args.extend(["--".to_owned(), self.host.clone()]);
        let mut verb = Vec::new();
        if !self.path.is_empty() {
            // A shell over there reads it.
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
            let path = format!("unix://{}", self.path);
            let quoted = format!("'{}'", path.replace('\'', r"'\''"));
            let as_is = self.path.bytes().all(plain);
            verb.extend(["--host".to_owned(), if as_is { path } else { quoted }]);
        }
        verb.extend(["system".to_owned(), "dial-stdio".to_owned()]);
        if program == "docker" {
            args.push("docker".to_owned());
            args.extend(verb);
        } else {
            // What is over there may be either.
            let rest = format!(" {}", verb.join(" "));
            let script =
                format!("command -v wharf >/dev/null 2>&1 && exec wharf{rest}; exec docker{rest}");
            let quoted = script.replace('\'', r"'\''");
            args.push(format!("sh -c '{quoted}'"));
        }
        args
    }

    /// Runs `ssh`. The task ends with it, and says how.
    pub(super) fn connect(
        &self,
        program: &str,
    ) -> std::io::Result<(
        impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        JoinHandle<String>,
    )> {
        let args = self.arguments(program);
        let mut child = Command::new(std::env::current_exe()?)
            .arg(VERB)
            .args(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let missing = || std::io::Error::other("no pipe");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let mut stderr = child.stderr.take().ok_or_else(missing)?;
        let shown = format!("ssh {}", args.join(" "));
        let end = tokio::spawn(async move {
            let mut said = Vec::new();
            let _ = (&mut stderr).take(COMPLAINT).read_to_end(&mut said).await;
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            let status = match child.wait().await {
                Ok(status) => status.code().map_or_else(
                    || "been ended by a signal".to_owned(),
                    |code| format!("exited with exit status {code}"),
                ),
                Err(e) => e.to_string(),
            };
            format!(
                "command [{shown}] has {status}, make sure the URL is valid, and Docker 18.09 or later or wharf is installed on the remote host: stderr={}",
                String::from_utf8_lossy(&said).trim()
            )
        });
        Ok((tokio::io::join(stdout, stdin), end))
    }
}

/// How the `ssh` behind a broken connection ended, if it has ended or is about to.
pub(super) async fn ending(task: JoinHandle<String>) -> Option<String> {
    let end = tokio::time::timeout(Duration::from_secs(3), task).await;
    end.ok()?.ok()
}

/// The hidden verb: becomes `ssh`, away from the terminal, whose signals are for us alone.
pub(crate) fn become_ssh(args: &[String]) -> crate::error::Error {
    // Fails only for a leader of a group, which needs none.
    let _ = rustix::process::setsid();
    let error = std::process::Command::new("ssh").args(args).exec();
    crate::error::Error::msg(format!(
        "exec: \"ssh\": {}",
        crate::error::errno_text(&error)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_dockers() {
        let ssh = Ssh::parse("me@host:22/a/b.sock").unwrap();
        assert_eq!(
            ssh.arguments("docker"),
            [
                "-o ConnectTimeout=30",
                "-T",
                "-l",
                "me",
                "-p",
                "22",
                "--",
                "host",
                "docker",
                "--host",
                "unix:///a/b.sock",
                "system",
                "dial-stdio"
            ]
        );
        let ssh = Ssh::parse("[::1]").unwrap();
        assert_eq!(
            ssh.arguments("docker")[2..],
            ["--", "::1", "docker", "system", "dial-stdio"]
        );
        for bad in ["", "me:pw@host", "h?x", "h#x", "h:x", "me@"] {
            assert!(Ssh::parse(bad).is_err(), "{bad}");
        }
    }
}
