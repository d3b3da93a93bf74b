//! How the daemon and the name server talk: a Unix stream on which each message is its length
//! (four bytes, the lowest first) and JSON; descriptors travel with the first byte of the message
//! that names them. Each request has one reply, in order, and may be repeated: it sets a state and
//! does not change one.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Asker, Endpoint, Network};

/// The version of the protocol. A server serves all up to its own.
pub const VERSION: u32 = 1;

/// No message is longer: a network of 100,000 containers.
const LONGEST: usize = 32 << 20;

/// A path to a socket that is short enough for one, however long `path` is: by the descriptor of
/// its directory, which must stay open meanwhile.
pub(crate) fn short(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (dir, name) = (
        path.parent().ok_or_else(invalid)?,
        path.file_name().ok_or_else(invalid)?,
    );
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(dir, flags, Mode::empty())?;
    let by_fd = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string());
    Ok((dir, by_fd.join(name)))
}

/// What a descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// The asker's UDP socket.
    Udp,
    /// The asker's listening TCP socket.
    Tcp,
    /// The asker's network namespace.
    Namespace,
    /// Becomes readable, or hangs up, when the asker is gone for good: a pidfd, say.
    Life,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) version: u32,
    #[serde(flatten)]
    pub(crate) op: Op,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Op {
    /// Adds an asker or puts it in the place of the one with its id. Without descriptors those
    /// that it has stay.
    SetAsker {
        asker: Asker,
        #[serde(default)]
        fds: Vec<Role>,
    },
    /// Forgets an asker, and closes its sockets.
    RemoveAsker { id: String },
    /// Adds a network or puts it in the place of the one with its id.
    SetNetwork { network: Network },
    /// Forgets a network.
    RemoveNetwork { id: String },
    /// Adds an endpoint to a network or puts it in the place of the one with its key.
    SetEndpoint {
        network: String,
        key: String,
        endpoint: Endpoint,
    },
    /// Forgets an endpoint.
    RemoveEndpoint { network: String, key: String },
    /// Forgets all askers and networks but these.
    Retain {
        askers: Vec<String>,
        networks: Vec<String>,
    },
    /// Copies of an asker's descriptors, for the process that comes next.
    Descriptors { id: String },
    /// What is known and done.
    Status,
    /// Writes down what is known, and ends.
    Stop,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(crate) enum Reply {
    Done,
    Status { status: Status },
    Descriptors { fds: Vec<Role> },
    Refused { reason: String },
}

/// What a name server knows and has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The newest protocol it speaks.
    pub version: u32,
    /// Its process.
    pub pid: u32,
    /// The askers that it serves.
    pub serving: Vec<String>,
    /// The askers that it knows from before it was started anew, whose sockets it needs again.
    pub waiting: Vec<String>,
    /// The networks that it knows.
    pub networks: Vec<String>,
    /// Questions answered from its own knowledge, also with "no such name".
    #[serde(default)]
    pub own: u64,
    /// Questions passed on that a server answered.
    #[serde(default)]
    pub forwarded: u64,
    /// Questions passed on that no server answered.
    #[serde(default)]
    pub failed: u64,
    /// What came and was no question.
    #[serde(default)]
    pub ignored: u64,
    /// Questions that are passed on just now.
    #[serde(default)]
    pub in_flight: usize,
    /// TCP connections of askers just now.
    #[serde(default)]
    pub connections: usize,
}

/// A message as it is sent.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut all = vec![0; 4];
    serde_json::to_writer(&mut all, message)?;
    let len = u32::try_from(all.len() - 4).map_err(io::Error::other)?;
    all[..4].copy_from_slice(&len.to_le_bytes());
    Ok(all)
}

/// What has come in and is not read yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Takes in what has come.
    pub(crate) fn push(&mut self, bytes: &[u8], fds: Vec<OwnedFd>) {
        self.bytes.extend_from_slice(bytes);
        self.fds.extend(fds);
    }

    /// The next message, if it is whole.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some((len, rest)) = self.bytes.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*len) as usize;
        if len > LONGEST {
            return Err(io::Error::other("the message is too long"));
        }
        let Some(body) = rest.get(..len) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.bytes.drain(..4 + len);
        Ok(Some(message))
    }

    /// The descriptors that came with a message.
    pub(crate) fn take(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        if count > self.fds.len() {
            return Err(io::Error::other("descriptors are missing"));
        }
        Ok(self.fds.drain(..count).collect())
    }
}
