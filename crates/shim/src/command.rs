//! Running an OCI runtime that is another program, and understanding why one failed.

use std::{
    fs, io,
    process::{Command, Stdio},
};

use runtime::protocol::{Launch, RUNTIME_LOG};
use rustix::process::Pid;

use crate::{prepare::to_pid, stdio::Ends};

/// The files in the bundle that belong to one run of the runtime.
pub(crate) struct Files {
    pub(crate) log: String,
    pub(crate) pid: String,
    pub(crate) console: String,
    /// The process to run, for an exec.
    pub(crate) process: Option<String>,
}

impl Files {
    /// Those of the container (0) or of an exec. Numbered, since an exec's id may be too long for
    /// the name of a socket.
    pub(crate) fn of(key: u64) -> Self {
        if key == 0 {
            Self {
                log: RUNTIME_LOG.to_owned(),
                pid: "init.pid".to_owned(),
                console: "console.sock".to_owned(),
                process: None,
            }
        } else {
            Self {
                log: format!("exec.{key}.log"),
                pid: format!("exec.{key}.pid"),
                console: format!("exec.{key}.sock"),
                process: Some(format!("exec.{key}.process")),
            }
        }
    }

    /// Removes what an exec no longer needs.
    pub(crate) fn remove(&self) {
        let exec = self.process.iter();
        for name in [&self.log, &self.pid, &self.console]
            .into_iter()
            .chain(exec)
        {
            let _ = fs::remove_file(name);
        }
    }

    /// The process that was started.
    pub(crate) fn read_pid(&self) -> io::Result<Pid> {
        let text = fs::read_to_string(&self.pid)?;
        let raw = text.trim().parse().map_err(|_| {
            io::Error::other(format!(
                "the runtime wrote {text:?} where a process was expected"
            ))
        })?;
        to_pid(raw)
    }
}

/// Starts the runtime: `run`, or `exec` if `files` name a process. The shim reaps it.
pub(crate) fn spawn(launch: &Launch, files: &Files, tty: bool, ends: Ends) -> io::Result<Pid> {
    // It appends; and what is there already is of an earlier container in this bundle.
    let _ = fs::remove_file(&files.log);
    let _ = fs::remove_file(&files.pid);
    let mut command = Command::new(&launch.runtime);
    // What hooks and the runtime's own helpers need, and nothing of the daemon's surroundings.
    command.env_clear().env(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    command.arg("--root").arg(&launch.runtime_root);
    command
        .arg("--log")
        .arg(&files.log)
        .arg("--log-format")
        .arg("json");
    match &files.process {
        None => command.arg("run").arg("--bundle").arg(&launch.bundle),
        Some(process) => command.arg("exec").arg("--process").arg(process),
    };
    command.arg("--detach").arg("--pid-file").arg(&files.pid);
    if tty {
        command.arg("--console-socket").arg(&files.console);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
    } else {
        let [stdin, stdout, stderr] = ends.into_stdio();
        command.stdin(stdin).stdout(stdout).stderr(stderr);
    }
    command.arg(&launch.id);
    sys::process::die_with_parent(&mut command);
    let child = command.spawn().map_err(|e| {
        io::Error::new(
            e.kind(),
            format!("cannot run the OCI runtime {}: {e}", launch.runtime),
        )
    })?;
    Ok(Pid::from_child(&child))
}

#[derive(serde::Deserialize)]
struct Line {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
}

/// The last error in a log of the runtime's.
pub(crate) fn last_error(log: &str) -> Option<String> {
    let text = fs::read(log).ok()?;
    text.split(|b| *b == b'\n')
        .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
        .rfind(|line| matches!(line.level.as_str(), "error" | "fatal"))
        .map(|line| line.msg)
}

/// Why a container did not start, as Docker puts it, and the exit code Docker records.
pub(crate) fn start_failure(message: &str) -> (i32, String) {
    let inner = message.strip_prefix("runc run failed: ").unwrap_or(message);
    let text = format!(
        "failed to create task for container: failed to create shim task: OCI runtime create \
         failed: runc create failed: {inner}: unknown"
    );
    (failure_code(message, 128), text)
}

/// Why an exec did not start, as Docker puts it, and the exit code Docker records.
pub(crate) fn exec_failure(message: &str) -> (i32, String) {
    (
        failure_code(message, 126),
        format!("OCI runtime exec failed: {message}: unknown"),
    )
}

fn failure_code(message: &str, otherwise: i32) -> i32 {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| message.contains(w));
    if says(&["executable file not found", "no such file or directory"]) {
        127
    } else if says(&[
        "permission denied",
        "is a directory",
        "not a directory",
        "exec format error",
    ]) {
        126
    } else {
        otherwise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_dockers_words() {
        let (code, text) = start_failure(
            "runc run failed: unable to start container process: exec: \"nope\": executable file \
             not found in $PATH",
        );
        assert_eq!(code, 127);
        assert_eq!(
            text,
            "failed to create task for container: failed to create shim task: OCI runtime create \
             failed: runc create failed: unable to start container process: exec: \"nope\": \
             executable file not found in $PATH: unknown"
        );
        assert_eq!(start_failure("exec: \"/etc\": permission denied").0, 126);
        assert_eq!(start_failure("exec /x: Exec format error").0, 126);
        assert_eq!(start_failure("something else").0, 128);
        assert_eq!(exec_failure("something else").0, 126);
    }

    #[test]
    fn the_last_error_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(
            &path,
            "{\"level\":\"warning\",\"msg\":\"a\"}\n{\"level\":\"error\",\"msg\":\"b\"}\n\
             {\"level\":\"error\",\"msg\":\"c\"}\n{\"level\":\"warning\",\"msg\":\"d\"}\ngarbage",
        )
        .unwrap();
        assert_eq!(last_error(path.to_str().unwrap()).as_deref(), Some("c"));
        assert_eq!(last_error("/does/not/exist"), None);
    }
}
