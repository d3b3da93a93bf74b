//! What is handed over.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A protocol that is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A socket of the host's that leads to a container: one that listens, or one of UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Door {
    /// Its protocol.
    pub proto: Proto,
    /// Where it is bound.
    pub at: SocketAddr,
    /// The container's port.
    pub port: u16,
}
