//! What the daemon and the name server say to one another; how is said in [`companion::message`].

use companion::message::Operation;
use serde::{Deserialize, Serialize};

use crate::model::{Asker, Endpoint, Network};

/// The version of the protocol. A server serves all up to its own.
pub const VERSION: u32 = 1;

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

impl Operation for Op {
    const VERSION: u32 = VERSION;

    fn descriptors(&self) -> usize {
        match self {
            Self::SetAsker { fds, .. } => fds.len(),
            _ => 0,
        }
    }
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
