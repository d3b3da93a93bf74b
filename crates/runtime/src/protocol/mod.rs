//! What daemon and shim say to each other.
//!
//! A shim outlives the daemon that started it, and the next daemon may be a newer program. So the
//! protocol has a version from its first day, and nothing in it is guessed: a frame, message or
//! version that one side does not know is answered with an error that names it.
//!
//! A connection is a byte stream of frames (see [`frame`]). It begins with [`Request::Hello`]; then
//! it takes any number of control requests, each answered in turn by one [`Response`], until one
//! of [`Request::Attach`] or [`Request::Exec`] turns it into a stream of a process's input and
//! output. [`Event`]s arrive on connections that asked for them with [`Request::Watch`], and at
//! the end of every stream.
//!
//! The connection a shim is born with (its standard input) begins with [`Request::Launch`] in
//! place of `Hello`, and file descriptors in `Fds` frames before it.

mod frame;
mod message;

pub use frame::{
    Decoder, Frame, FrameError, MAX_CONTROL, MAX_DATA, MAX_FDS_PER_FRAME, RawFrame, encode_data,
};
pub use message::{
    BoundTo, ErrorReason, Event, ExecRequest, ExecState, Exit, FdRole, Launch, Request, Response,
    Size, State, Status,
};

/// The version this program speaks. A change that an older shim or daemon would misunderstand
/// raises it; a new optional field does not.
pub const VERSION: u32 = 2;

/// In place of a program's path, the name of the runtime that the shim has in it.
pub const OWN_RUNTIME: &str = "wharf";

/// Name of the shim's socket inside the bundle.
pub const SOCKET: &str = "shim.sock";
/// Name of the file in the bundle that records the container's end: an [`Exit`] in JSON.
pub const EXIT_FILE: &str = "exit.json";
/// Name of the directory in the bundle on which the root file system is mounted, in the shim's own
/// mount namespace only.
pub const ROOTFS: &str = "rootfs";
/// Name in the bundle of the link to the network namespace; `config.json` refers to it.
pub const NETNS: &str = "netns";
/// Name in the bundle of the link to a PID namespace that the container joins.
pub const PIDNS: &str = "pidns";
/// Name in the bundle of the link to an IPC namespace that the container joins.
pub const IPCNS: &str = "ipcns";
/// Name in the bundle of the link to a user namespace that the container joins.
pub const USERNS: &str = "userns";
/// Name in the bundle of the directory on which a `/dev/shm` that can be shared is mounted, in the
/// shim's own mount namespace only.
pub const SHM: &str = "shm";
/// Name in the bundle of the runtime's own log.
pub const RUNTIME_LOG: &str = "runtime.log";

/// Name in the bundle of the place where a mount of the host's is attached, in the shim's own mount
/// namespace only.
pub fn mount_name(index: u32) -> String {
    format!("mount-{index}")
}

/// Name of the file in the bundle that records the end of an exec: an [`Exit`] in JSON.
pub fn exec_exit_file(id: &str) -> String {
    format!("exec-{id}.json")
}
