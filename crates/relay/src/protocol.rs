//! What the daemon and the relay say to one another; how is said in [`companion::message`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use companion::message::Operation;
use serde::{Deserialize, Serialize};

use crate::model::Door;

/// The version of the protocol. A relay serves all up to its own.
pub const VERSION: u32 = 1;

/// What the daemon asks for. Containers are known by their ids.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Op {
    /// Takes doors of a container, in the place of those at the same addresses; the others stay.
    Serve {
        id: String,
        /// The container's address; nothing where its ports lead nowhere.
        to: Option<IpAddr>,
        /// Each comes with its socket.
        doors: Vec<Door>,
        /// One more descriptor comes, which tells when the container is gone (a pidfd).
        life: bool,
    },
    /// A container's doors lead to another address from now on; connections to the old one end.
    Lead { id: String, to: Option<IpAddr> },
    /// Lets go of all doors of a container but these.
    Keep { id: String, doors: Vec<Door> },
    /// Lets go of a container's doors.
    Remove { id: String },
    /// Lets go of all containers but these.
    Retain { ids: Vec<String> },
    /// What is known and done.
    Status,
    /// Lets go of all doors and of the place where the daemon connects, and ends when the connections
    /// that are under way have ended.
    Retire,
}

impl Operation for Op {
    const VERSION: u32 = VERSION;

    fn descriptors(&self) -> usize {
        match self {
            Self::Serve { doors, life, .. } => doors.len() + usize::from(*life),
            _ => 0,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(crate) enum Reply {
    Done,
    Status { status: Status },
    Refused { reason: String },
}

/// What a relay knows and has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The newest protocol it speaks.
    pub version: u32,
    /// Its process.
    pub pid: u32,
    /// The containers, and the doors of each, in order.
    pub serving: BTreeMap<String, Vec<Door>>,
    /// Connections just now.
    #[serde(default)]
    pub connections: usize,
    /// Clients of UDP just now.
    #[serde(default)]
    pub sessions: usize,
    /// Connections that were taken.
    #[serde(default)]
    pub accepted: u64,
    /// Connections that did not reach their container.
    #[serde(default)]
    pub failed: u64,
    /// Datagrams that were dropped because there were too many clients.
    #[serde(default)]
    pub dropped: u64,
}
