//! Further processes in a running container.

use serde::{Deserialize, Serialize};

/// `POST /containers/{id}/exec`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecConfig {
    /// `uid`, `uid:gid` or names.
    pub user: String,
    /// All capabilities and devices.
    pub privileged: bool,
    /// Give it a terminal.
    pub tty: bool,
    /// The terminal's first size, `[rows, columns]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u16; 2]>,
    /// Connect standard input.
    pub attach_stdin: bool,
    /// Connect standard error.
    pub attach_stderr: bool,
    /// Connect standard output.
    pub attach_stdout: bool,
    /// Key sequence that detaches.
    pub detach_keys: String,
    /// `NAME=value` pairs added to the container's.
    pub env: Vec<String>,
    /// Working directory; the container's when empty.
    pub working_dir: String,
    /// The program and its arguments.
    pub cmd: Vec<String>,
}

/// `POST /exec/{id}/start`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecStart {
    /// Return at once.
    pub detach: bool,
    /// Must agree with the exec's own.
    pub tty: bool,
    /// The terminal's first size, `[rows, columns]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u16; 2]>,
}

/// `GET /exec/{id}/json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecInspect {
    /// Its identifier.
    #[serde(rename = "ID")]
    pub id: String,
    /// Whether it runs now.
    pub running: bool,
    /// Exit code; null until it ended.
    pub exit_code: Option<i32>,
    /// What runs.
    pub process_config: ExecProcess,
    /// Standard input was asked for.
    pub open_stdin: bool,
    /// Standard error was asked for.
    pub open_stderr: bool,
    /// Standard output was asked for.
    pub open_stdout: bool,
    /// It can be removed.
    pub can_remove: bool,
    /// The container's identifier.
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    /// Key sequence that detaches.
    pub detach_keys: String,
    /// In the daemon's process namespace; 0 when it does not run.
    pub pid: u32,
}

/// The process of an [`ExecInspect`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecProcess {
    /// It has a terminal.
    pub tty: bool,
    /// The program.
    pub entrypoint: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// `uid`, `uid:gid` or names.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
}
