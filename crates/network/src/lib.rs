//! The networks of a node: bridges and shared links, a link pair per container, and nftables tables of
//! our own.
//!
//! [`Fabric`] is a synchronous object over the kernel's state. Nothing but the kernel and the
//! records of networks and containers (kept by the engine) holds state: [`Fabric::load`] takes over
//! what is there, and [`Fabric::restore`] makes it match the containers that live.
//!
//! Threads that call it must be in the network namespace it was opened in: the sockets that hold
//! published ports are made in the caller's.

mod adopted;
mod bridge;
mod claim;
mod connect;
mod definition;
pub mod dns;
mod endpoint;
mod entries;
mod error;
mod fabric;
mod firewall;
mod flows;
mod foreign;
mod holder;
pub mod hosts;
mod ipam;
mod members;
mod names;
mod others;
mod ports;
mod publish;
mod reaper;
mod recover;
mod relay;
mod rules;
mod shared;
mod subnet;
mod wire;
mod wishes;

pub use adopted::Found;
pub use claim::Claim;
pub use definition::{AddressSpace, Bridge, Definition, Driver, Gateway};
pub use endpoint::{Endpoint, Mac, PortRequest, Proto, Published, PublishedPort, Request, Target};
pub use error::{Error, Result};
pub use fabric::{Config, DefaultSubnet, Fabric};
pub use holder::Holder;
pub use publish::Keeper;
pub use recover::Living;
pub use relay::host_has_ipv6;
pub use subnet::{Pool, Subnet};
pub use sys::netlink::Shared;
pub use wishes::{Way, Ways};
