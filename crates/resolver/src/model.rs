//! Who asks, and what names there are.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// A container that asks: what its questions are answered from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The container's id. The endpoints with this id are its own.
    pub id: String,
    /// Ids of its networks; where a name is known in several, the first one answers.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Names of its own making (`--link db:database`): each stands for another name.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
    /// May unknown names be asked of other servers? Not if all its networks are internal: names
    /// carry data out as well as packets do (CVE-2024-29018).
    #[serde(default)]
    pub forward: bool,
    /// The servers they are asked of, in this order.
    #[serde(default)]
    pub upstreams: Vec<Upstream>,
    /// What becomes of unknown names without a dot.
    #[serde(default)]
    pub single_labels: SingleLabels,
}

/// What becomes of unknown names without a dot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SingleLabels {
    /// They are passed on as others are, as Docker does.
    #[default]
    Forward,
    /// They do not exist, so that clients append their search domains: for containers that set
    /// `ndots` themselves, again as Docker.
    Unknown,
}

/// A server that is asked what we do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// From where it is asked.
    pub origin: Origin,
}

/// The network namespace from which a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The host's: for servers on the host's loopback.
    Host,
    /// The container's, so that questions take the way that its packets take (a VPN, say).
    Container,
}

/// A network's names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name: every name in it is also known as `name.network`.
    pub name: String,
    /// Reverse questions for addresses in them are answered by us alone.
    #[serde(default)]
    pub subnets: Vec<Subnet>,
    /// By container id, or any other key (a service's, for its virtual address).
    #[serde(default)]
    pub endpoints: BTreeMap<String, Endpoint>,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Any address in it.
    pub address: IpAddr,
    /// How many leading bits its addresses share.
    pub prefix: u8,
}

impl Subnet {
    /// Is the address in it?
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32_u32.saturating_sub(self.prefix.into());
                let differs = a.to_bits() ^ b.to_bits();
                differs.checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128_u32.saturating_sub(self.prefix.into());
                let differs = a.to_bits() ^ b.to_bits();
                differs.checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// What has names in a network: a container, or a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its names; the first one is what reverse questions are answered with. Several endpoints may
    /// share a name: all their addresses are then in one answer, in changing order.
    pub names: Vec<String>,
    /// Its addresses, of either family.
    pub addresses: Vec<IpAddr>,
}

/// All that is known; what is kept on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) askers: Vec<Asker>,
    pub(crate) networks: Vec<Network>,
}

#[cfg(test)]
mod tests {
    use super::Subnet;

    #[test]
    fn subnets() {
        let net = |address: &str, prefix| Subnet {
            address: address.parse().unwrap(),
            prefix,
        };
        assert!(net("172.18.0.1", 16).contains("172.18.255.1".parse().unwrap()));
        assert!(!net("172.18.0.1", 16).contains("172.19.0.1".parse().unwrap()));
        assert!(net("0.0.0.0", 0).contains("172.19.0.1".parse().unwrap()));
        assert!(!net("0.0.0.0", 0).contains("::1".parse().unwrap()));
        assert!(net("fd00::", 64).contains("fd00::1:2".parse().unwrap()));
        assert!(!net("fd00::", 64).contains("fd00:0:0:1::2".parse().unwrap()));
        assert!(net("10.0.0.1", 32).contains("10.0.0.1".parse().unwrap()));
        assert!(net("10.0.0.1", 200).contains("10.0.0.1".parse().unwrap()));
    }
}
