//! The messages: plain values in JSON.

use serde::{Deserialize, Serialize};

use crate::logfile::{LogEnd, LogOptions};

/// What a client asks of a shim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// First on every connection to the shim's socket; answered by [`Response::Hello`].
    Hello {
        /// The version the client speaks.
        version: u32,
    },
    /// First and only on the connection the shim is born with; answered by [`Response::Ready`].
    Launch(Box<Launch>),
    /// How are things? Answered by [`Response::State`].
    State,
    /// Create and start the container; answered when the runtime is done by
    /// [`Response::Started`] or [`Response::StartFailed`]. After the latter the shim ends.
    Start,
    /// Send a signal to the container's first process, or to that of an exec.
    Signal {
        /// The exec; the container if none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exec: Option<String>,
        /// The number of the signal.
        signal: i32,
    },
    /// Set the size of a terminal.
    Resize {
        /// The exec; the container if none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exec: Option<String>,
        /// The new size.
        size: Size,
    },
    /// Send [`Event`]s on this connection from now on; what has already ended is told at once.
    Watch,
    /// Turn this connection into a stream of the container's input and output; answered by
    /// [`Response::Attached`]. May come before [`Request::Start`]: then nothing is missed.
    Attach {
        /// Frames of input will come.
        #[serde(default)]
        stdin: bool,
        /// Standard output (or the terminal) is wanted.
        #[serde(default)]
        stdout: bool,
        /// Standard error is wanted.
        #[serde(default)]
        stderr: bool,
        /// The log is wanted too: the answer tells where it ends, and the stream begins with what
        /// is not in it yet, which is a line that has not ended.
        #[serde(default)]
        logs: bool,
    },
    /// Run another process in the container; answered by [`Response::ExecStarted`] or
    /// [`Response::ExecFailed`]. Then the connection is the stream of its input and output, and
    /// ends after [`Event::ExecExited`].
    Exec(Box<ExecRequest>),
    /// Keep the descriptors that came before this on the connection, as those of [`FdRole::Held`], and
    /// close those of sockets that are bound to these. Shims before this request refuse it.
    Hold {
        /// What need not be kept any more.
        #[serde(default)]
        release: Vec<BoundTo>,
    },
    /// Give up on a container that was never started: the shim lets go of everything and ends.
    Abandon,
    /// Copies of the sockets of published ports ([`FdRole::Held`]), for a daemon that has lost its own.
    /// They come with frames of descriptors, and after them [`Response::Ports`]. Shims of earlier
    /// versions refuse it as an unknown message.
    Ports,
}

/// Where a socket is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundTo {
    /// The protocol's number in an IP header.
    pub protocol: u8,
    /// The address and port.
    pub address: std::net::SocketAddr,
}

/// What a shim needs to know of its container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// The version the daemon speaks.
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// Directory of `config.json`, where the shim keeps its socket and records. Absolute.
    pub bundle: String,
    /// The OCI runtime: path of the program, or [`OWN_RUNTIME`](super::OWN_RUNTIME).
    pub runtime: String,
    /// The runtime's state directory (`--root`).
    pub runtime_root: String,
    /// The `cgroupsPath` of `config.json`: to see out-of-memory kills, and to end strays.
    pub cgroup: String,
    /// Does the container have a terminal?
    pub tty: bool,
    /// The terminal's size once it runs. `config.json` should say the same (`consoleSize`): that is
    /// what the process sees in its first moments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Keep standard input open; otherwise it is `/dev/null`.
    pub open_stdin: bool,
    /// Close standard input when the first client that was attached to it is done.
    pub stdin_once: bool,
    /// The file to which output is appended, as Docker's json-file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// How it is kept.
    #[serde(default)]
    pub log_options: LogOptions,
    /// Who is root in the container, where that is not the host's: owner of its standard streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
    /// What the descriptors are that came before this message, in their order.
    #[serde(default)]
    pub fds: Vec<FdRole>,
}

/// What a descriptor that is passed to the shim is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FdRole {
    /// A detached mount (`fsmount`, `open_tree`): the root file system.
    Rootfs,
    /// The network namespace the container joins through the bundle's `netns` link.
    Netns,
    /// The PID namespace it joins through the link `pidns`.
    Pidns,
    /// The IPC namespace it joins through the link `ipcns`.
    Ipcns,
    /// The user namespace it joins through the link `userns`.
    Userns,
    /// A detached mount for `/dev/shm`, to be attached at `shm` in the bundle.
    Shm,
    /// A detached mount of the host's, to be attached at [`super::mount_name`] in the bundle.
    Mount {
        /// Its number.
        index: u32,
    },
    /// A file of memory with the compiled filter of `linux.seccomp`, so that our own runtime need
    /// not compile it for each process.
    Seccomp,
    /// Only to be kept open while the container lives: a published port.
    Held,
}

/// A process to run in a running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Names the exec; letters, digits, `-` and `_` only, at most 128.
    pub id: String,
    /// The OCI `process` value, as JSON text.
    pub process: String,
    /// Does it have a terminal? Must agree with `process`.
    pub tty: bool,
    /// The terminal's size once it runs. `process` should say the same (`consoleSize`): that is
    /// what the process sees in its first moments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Frames of input will come; otherwise standard input is `/dev/null`.
    #[serde(default)]
    pub stdin: bool,
    /// Standard output is wanted, otherwise it is `/dev/null`.
    #[serde(default)]
    pub stdout: bool,
    /// Standard error is wanted, otherwise it is `/dev/null`.
    #[serde(default)]
    pub stderr: bool,
}

/// What a shim answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Hello`].
    Hello {
        /// The version the shim speaks.
        version: u32,
    },
    /// To [`Request::Launch`]: the socket is there, attach may begin.
    Ready {
        /// The shim's own process.
        pid: i32,
    },
    /// To [`Request::State`].
    State(State),
    /// To [`Request::Start`].
    Started {
        /// The container's first process.
        pid: i32,
    },
    /// To [`Request::Start`]: nothing runs, and the shim ends.
    StartFailed {
        /// What Docker records as exit code: 127 not found, 126 cannot be executed, 128 the rest.
        code: i32,
        /// What the runtime said, in Docker's words.
        message: String,
    },
    /// To [`Request::Signal`], [`Request::Resize`], [`Request::Watch`], [`Request::Hold`],
    /// [`Request::Abandon`].
    Done,
    /// To [`Request::Attach`].
    Attached {
        /// Where the log ends at this moment, if that was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<LogEnd>,
    },
    /// To [`Request::Exec`].
    ExecStarted {
        /// Its first process, as the host sees it.
        pid: i32,
    },
    /// To [`Request::Exec`].
    ExecFailed {
        /// What Docker records as exit code: 127 not found, 126 the rest.
        code: i32,
        /// What the runtime said, in Docker's words.
        message: String,
    },
    /// To [`Request::Ports`]: these were all.
    Ports {
        /// How many.
        count: usize,
    },
    /// The request was not carried out.
    Error {
        /// What kind of refusal it is.
        reason: ErrorReason,
        /// What was wrong, for people.
        message: String,
    },
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorReason {
    /// The other side's version of the protocol is not ours.
    Version,
    /// A frame or message that is unknown or cannot be read.
    Message,
    /// Not possible in the container's present state.
    State,
    /// The exec or process is not (or no longer) there.
    NotFound,
    /// The kernel or the host said no.
    System,
}

/// What a shim tells unasked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The container runs.
    Started {
        /// Its first process.
        pid: i32,
    },
    /// The container has ended; its [`EXIT_FILE`](super::EXIT_FILE) is written. The last frame.
    Exited(Exit),
    /// An exec has ended.
    ExecExited {
        /// Which.
        id: String,
        /// How.
        exit: Exit,
    },
}

/// How the container, or an exec, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code; 128 + n after signal n.
    pub code: i32,
    /// When, RFC 3339 in UTC with nanoseconds.
    pub finished_at: String,
    /// The kernel killed one of the container's processes for lack of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// What went wrong, if it was not the program's own end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Lines that could not be written to the log (full disk), of the container's whole life.
    #[serde(default)]
    pub log_lost: u64,
}

/// Where the container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The shim is ready; nothing was started yet.
    Created,
    /// The runtime is at work.
    Starting,
    /// It runs.
    Running,
    /// It ended, or never started.
    Exited,
}

/// What a shim knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The version the shim speaks.
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// The shim's own process.
    pub shim_pid: i32,
    /// The container's first process, once there is one.
    pub pid: Option<i32>,
    /// Where it is in its life.
    pub status: Status,
    /// How it ended.
    pub exit: Option<Exit>,
    /// The execs that run, and the last ones that ended.
    #[serde(default)]
    pub execs: Vec<ExecState>,
    /// Lines that could not be written to the log so far.
    #[serde(default)]
    pub log_lost: u64,
}

/// What a shim knows of an exec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecState {
    /// Its name.
    pub id: String,
    /// Its first process, once there is one.
    pub pid: Option<i32>,
    /// How it ended.
    pub exit: Option<Exit>,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}
