//! What a network is, however it came to be wanted.

use std::net::IpAddr;

use sys::netlink::Shared;

use crate::adopted::Found;
use crate::subnet::Subnet;

/// One subnet of a network, and who may have which of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressSpace {
    /// The subnet.
    pub subnet: Subnet,
    /// The way out; the bridge's address, where there is a bridge.
    pub gateway: Option<IpAddr>,
    /// The way out of containers where it is another one than the bridge.
    pub router: Option<IpAddr>,
    /// The part that addresses are given out of, if not all of it.
    pub range: Option<Subnet>,
    /// Addresses that no container gets.
    pub reserved: Vec<IpAddr>,
}

impl AddressSpace {
    /// All of a subnet, but its gateway.
    #[must_use]
    pub fn of(subnet: Subnet) -> Self {
        Self {
            subnet,
            gateway: Some(subnet.gateway),
            router: None,
            range: None,
            reserved: Vec::new(),
        }
    }
}

/// How packets of one family get from a bridge to the outside and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gateway {
    /// By translation; only published ports are open.
    #[default]
    Nat,
    /// By translation, and whoever has a route may send to every port.
    NatUnprotected,
    /// With the containers' own addresses; published ports are open at those.
    Routed,
    /// Not at all: not even the host is in the network.
    Isolated,
}

/// What is special about a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// The link's name.
    pub link: String,
    /// Whether containers reach each other other than by published ports.
    pub icc: bool,
    /// Whether what leaves gets an address of the host's.
    pub masquerade: bool,
    /// The address that it gets, by family; that of the link it leaves by if none.
    pub source: [Option<IpAddr>; 2],
    /// The way out of IPv4 and of IPv6.
    pub gateways: [Gateway; 2],
    /// Whether addresses that it has besides stay: it may be the operator's own.
    pub keeps_addresses: bool,
    /// Whether it is given no IPv4 address.
    pub no_ipv4_address: bool,
    /// What it had before the network, where it stays after it: it then loses what it was given.
    pub found: Option<Found>,
}

impl Bridge {
    /// One with Docker's defaults.
    #[must_use]
    pub fn new(link: impl Into<String>) -> Self {
        Self {
            link: link.into(),
            icc: true,
            masquerade: true,
            source: [None, None],
            gateways: [Gateway::Nat, Gateway::Nat],
            keeps_addresses: false,
            no_ipv4_address: false,
            found: None,
        }
    }

    /// The way out of a family.
    #[must_use]
    pub fn gateway(&self, ipv4: bool) -> Gateway {
        self.gateways[usize::from(!ipv4)]
    }
}

/// What containers of a network are connected by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// A bridge of the host's.
    Bridge(Bridge),
    /// Links that share one of the host's, which is made where it is a VLAN's (`eth0.7`) and missing.
    Shared {
        /// The host's link; one of our own that leads nowhere if none.
        parent: Option<String>,
        /// How they share it.
        kind: Shared,
    },
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// What it is known by for ever.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What its containers are connected by.
    pub driver: Driver,
    /// Its subnets, of either family.
    pub spaces: Vec<AddressSpace>,
    /// Whether it leads nowhere else.
    pub internal: bool,
    /// The largest packet of its links; the kernel's default if `None`.
    pub mtu: Option<u32>,
}

impl Definition {
    /// Its bridge, if it is one.
    #[must_use]
    pub fn bridge(&self) -> Option<&Bridge> {
        match &self.driver {
            Driver::Bridge(bridge) => Some(bridge),
            Driver::Shared { .. } => None,
        }
    }

    /// Its subnets of a family.
    pub fn spaces_of(&self, ipv4: bool) -> impl Iterator<Item = &AddressSpace> {
        self.spaces
            .iter()
            .filter(move |s| s.subnet.is_ipv4() == ipv4)
    }
}
