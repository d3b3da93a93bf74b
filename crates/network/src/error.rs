//! What can go wrong, in words for the user.

use std::net::IpAddr;

use types::ErrorKind;

use crate::endpoint::Proto;
use crate::holder::Holder;

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration makes no sense.
    #[error("network configuration: {0}")]
    Config(String),
    /// No subnet is free on this host.
    #[error(
        "all predefined address pools have been fully subnetted: every default subnet \
         (172.17–172.31, 192.168) overlaps a network or a route of this host; choose one with \
         --subnet (of the default bridge: --bip)"
    )]
    NoSubnet,
    /// No subnet of the configured pools is free.
    #[error(
        "all predefined address pools have been fully subnetted: every subnet of the default \
         address pools overlaps a network or a route of this host; give another pool, or a subnet \
         with --subnet (of the default bridge: --bip)"
    )]
    NoSubnetInPools,
    /// The bridge's name belongs to something else.
    #[error(
        "the link {0} exists and is not a bridge (it is: {1}); choose another name or remove it"
    )]
    NotABridge(String, String),
    /// The kernel refused something.
    #[error("network {network}: {source}")]
    Kernel {
        /// The bridge.
        network: String,
        /// The kernel's refusal.
        source: sys::netlink::Error,
    },
    /// A setting under `/proc/sys` cannot be made.
    #[error(
        "cannot write {value} to {path}: {source}; set it on the host before the daemon starts"
    )]
    Sysctl {
        /// The file.
        path: String,
        /// What should be in it.
        value: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The container's network namespace cannot be worked in.
    #[error("cannot enter the network namespace of container {id}: {source}")]
    Namespace {
        /// The container.
        id: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A link that was just made is gone.
    #[error("the link {link} of {owner} vanished while it was being set up; try again")]
    Vanished {
        /// Whose it was.
        owner: String,
        /// The link.
        link: String,
    },
    /// A container of ours has the port.
    #[error(
        "Bind for {host_ip}:{port} failed: port is already allocated ({proto}, by container {owner})"
    )]
    PortAllocated {
        /// The address asked for.
        host_ip: IpAddr,
        /// The port asked for.
        port: u16,
        /// Its protocol.
        proto: Proto,
        /// The container that has it.
        owner: String,
    },
    /// Somebody else has the port.
    #[error(
        "failed to bind host port {host_ip}:{port}/{proto}: address already in use{} (for port \
         {container_port} of the container)",
        by(.holder)
    )]
    PortTaken {
        /// The address asked for.
        host_ip: IpAddr,
        /// The port asked for.
        port: u16,
        /// The container's port.
        container_port: u16,
        /// The protocol.
        proto: Proto,
        /// Who has it, once it was asked for.
        holder: Option<Holder>,
    },
    /// The port cannot be bound.
    #[error(
        "failed to bind host port {host_ip}:{port}/{proto}: {reason} (for port {container_port} \
         of the container)"
    )]
    PortBind {
        /// The address asked for.
        host_ip: IpAddr,
        /// The port asked for.
        port: u16,
        /// The container's port.
        container_port: u16,
        /// The protocol.
        proto: Proto,
        /// Why not, as the system says it.
        reason: String,
    },
    /// No port of a range is to be had.
    #[error(
        "Bind for {host_ip}:{first}-{last} failed: all ports are allocated ({proto}); the last \
         one: {source}"
    )]
    RangeTaken {
        /// The address asked for.
        host_ip: IpAddr,
        /// The range's first port.
        first: u16,
        /// The range's last port.
        last: u16,
        /// The protocol.
        proto: Proto,
        /// Why the last one was not.
        source: Box<Error>,
    },
    /// Who keeps the sockets of a container's ports did not do as told.
    #[error("the container's published ports cannot be changed while it runs: {0}")]
    Keeper(String),
    /// The kernel cannot lead packets from there elsewhere.
    #[error(
        "ports of SCTP cannot be published on [{0}]; publish on 127.0.0.1, or on an address of the host's"
    )]
    LoopbackPublish(std::net::Ipv6Addr),
    /// The kernel has no SCTP.
    #[error("port {0}/sctp cannot be published: this host's kernel has no SCTP (module sctp)")]
    NoSctp(u16),
    /// A port number that means nothing.
    #[error("{0} is not a port that can be published: choose one from 1 to 65535")]
    BadPort(String),
    /// The subnet is full.
    #[error(
        "no free address left in {subnet} of network {network} ({used} in use): remove \
         containers or give the network a larger subnet or range"
    )]
    Exhausted {
        /// The bridge.
        network: String,
        /// Its subnet.
        subnet: String,
        /// Addresses in use.
        used: usize,
    },
    /// The bridge has all the ports a bridge can have.
    #[error(
        "network {0}: the kernel gives a bridge no more than 1023 containers; use another network"
    )]
    BridgeFull(String),
    /// The wanted address has an owner.
    #[error("Address already in use: {ip} on network {network}, by {owner}")]
    AddressInUse {
        /// The address.
        ip: IpAddr,
        /// The bridge.
        network: String,
        /// Who has it.
        owner: String,
    },
    /// The wanted address is not one for containers.
    #[error("address {ip} cannot be given to a container on network {network} ({subnet})")]
    AddressOutside {
        /// The address.
        ip: IpAddr,
        /// The bridge.
        network: String,
        /// Its subnet.
        subnet: String,
    },
    /// The network is not one of the daemon's.
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    /// Containers are still in it.
    #[error("network {network} has active endpoints ({members})")]
    InUse {
        /// The network.
        network: String,
        /// The containers.
        members: String,
    },
    /// The bridge is another network's.
    #[error("conflicts with network {id} ({name}): networks have same bridge name")]
    SameBridge {
        /// The other network.
        id: String,
        /// Its name.
        name: String,
    },
    /// Its subnet means something else already.
    #[error(
        "invalid pool request: Pool overlaps with other one on this address space: {subnet} and {other}"
    )]
    Overlaps {
        /// The subnet asked for.
        subnet: String,
        /// What it overlaps.
        other: String,
    },
    /// The link to share is not there.
    #[error("the parent link {parent} of network {network} does not exist on this host")]
    NoParent {
        /// The network.
        network: String,
        /// The link.
        parent: String,
    },
    /// The kernel has no links of that kind.
    #[error(
        "network {network} needs links of the kind {kind}, which this host's kernel does not have"
    )]
    NoKind {
        /// The network.
        network: String,
        /// `macvlan` or `ipvlan`.
        kind: &'static str,
    },
    /// The network has no subnet of that family.
    #[error("network {network} has no {family} subnet to give the address {ip} from")]
    NoFamily {
        /// The network.
        network: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// The address asked for.
        ip: IpAddr,
    },
    /// The container is connected already.
    #[error("container {id} is already connected to network {network}")]
    AlreadyConnected {
        /// The container.
        id: String,
        /// The bridge.
        network: String,
    },
    /// The container has not been given an address.
    #[error("container {id} is not connected to network {network}")]
    NotConnected {
        /// The container.
        id: String,
        /// The bridge.
        network: String,
    },
    /// Several things went wrong; the rest was done.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Error>),
}

fn by(holder: &Option<Holder>) -> String {
    holder
        .as_ref()
        .map_or_else(String::new, |h| format!(" ({h})"))
}

impl Error {
    /// The kernel's refusal, with the network that it concerns.
    pub(crate) fn kernel(network: &str) -> impl Fn(sys::netlink::Error) -> Self + use<> {
        let network = network.to_owned();
        move |source| Self::Kernel {
            network: network.clone(),
            source,
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::BadPort(_) | Self::AddressOutside { .. } => {
                ErrorKind::InvalidParameter
            }
            Self::NoSctp(_) | Self::LoopbackPublish(_) | Self::NoKind { .. } => {
                ErrorKind::NotImplemented
            }
            Self::NotConnected { .. } | Self::NoSuchNetwork(_) => ErrorKind::NotFound,
            Self::InUse { .. }
            | Self::Overlaps { .. }
            | Self::SameBridge { .. }
            | Self::AddressInUse { .. } => ErrorKind::Forbidden,
            Self::Exhausted { .. } => ErrorKind::Unavailable,
            Self::NoSubnet | Self::NoSubnetInPools => ErrorKind::InvalidParameter,
            Self::NoFamily { .. } | Self::NoParent { .. } => ErrorKind::InvalidParameter,
            Self::AlreadyConnected { .. } => ErrorKind::Conflict,
            // Docker answers 500 to these, and clients look at the text.
            Self::PortAllocated { .. }
            | Self::PortTaken { .. }
            | Self::PortBind { .. }
            | Self::RangeTaken { .. }
            | Self::Keeper(_)
            | Self::BridgeFull(_)
            | Self::NotABridge(..)
            | Self::Kernel { .. }
            | Self::Sysctl { .. }
            | Self::Namespace { .. }
            | Self::Vanished { .. } => ErrorKind::System,
            Self::Several(errors) => errors.first().map_or(ErrorKind::System, Self::kind),
        }
    }

    /// Finds out who has the port that could not be had, if this is about one. It costs some
    /// milliseconds, so not while others wait.
    #[must_use]
    pub(crate) fn with_holder(mut self) -> Self {
        match &mut self {
            Self::PortTaken {
                host_ip,
                port,
                proto,
                holder,
                ..
            } => *holder = Some(Holder::of(*proto, *host_ip, *port)),
            Self::RangeTaken { source, .. } => {
                let inner = std::mem::replace(source.as_mut(), Self::NoSubnet);
                **source = inner.with_holder();
            }
            _ => {}
        }
        self
    }

    /// Names containers as their user does, who does not know their identifiers.
    #[must_use]
    pub fn with_names(mut self, name: &dyn Fn(&str) -> Option<String>) -> Self {
        match &mut self {
            Self::PortAllocated { owner, .. } => {
                if let Some(name) = name(owner) {
                    *owner = name;
                }
            }
            Self::RangeTaken { source, .. } => {
                let inner = std::mem::replace(source.as_mut(), Self::NoSubnet);
                **source = inner.with_names(name);
            }
            _ => {}
        }
        self
    }

    /// None if there are none, the error if there is one.
    pub(crate) fn gather(mut errors: Vec<Self>) -> Result<()> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}
