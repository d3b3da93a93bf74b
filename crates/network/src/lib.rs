//! The default network of a node: a bridge, a link pair per container, and tables of our own.
//!
//! [`Network`] is a synchronous object over the kernel's state. Nothing but the kernel and the
//! containers' records (kept by the engine) holds state: [`Network::open`] takes over what is
//! there, and [`Network::restore`] makes it match the containers that live.
//!
//! Threads that call it must be in the network namespace it was opened in: the sockets that hold
//! published ports are made in the caller's.

mod bridge;
pub mod dns;
mod endpoint;
mod error;
mod firewall;
mod flows;
mod foreign;
pub mod hosts;
mod ipam;
mod names;
mod network;
mod ports;
mod reaper;
mod recover;
mod subnet;
mod wire;

pub use endpoint::{Connected, Endpoint, Mac, PortRequest, Proto, PublishedPort, Request};
pub use error::{Error, Result};
pub use network::{Config, Network};
pub use subnet::{Pool, Subnet};
