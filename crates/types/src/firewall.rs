//! `GET /wharf/firewall`: what is open on a host, and why.

use serde::{Deserialize, Serialize};

/// What a daemon's rules let through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Firewall {
    /// The daemon's nftables tables (of the families `ip` and, with IPv6 networks, `ip6`).
    pub table: String,
    /// The operator's own table (of the family `inet`), whose chain `forward` sees packets first.
    pub user_table: String,
    /// Whether others' chains that drop get rules that let containers' packets pass.
    pub integrate: bool,
    /// The bridges.
    pub networks: Vec<FirewallNetwork>,
    /// Ports of the host's that lead to containers.
    pub ports: Vec<OpenPort>,
    /// What keeps packets from containers, with what helps.
    pub warnings: Vec<String>,
}

/// What a network lets in and out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FirewallNetwork {
    /// The network.
    pub name: String,
    /// Its bridge.
    pub bridge: String,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// What comes in, as a sentence.
    pub inbound: String,
    /// What goes out, as a sentence.
    pub outbound: String,
}

/// A port of the host's that leads to a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OpenPort {
    /// The host's address; zeros are all of that family.
    pub host_ip: String,
    /// The host's port.
    pub host_port: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    /// The container's name.
    pub container: String,
    /// The container's address and port; empty where it leads nowhere just now.
    pub target: String,
    /// Why it is open, or who can reach it.
    pub why: String,
}
