//! The relay of published ports: carries by hand what the kernel cannot translate. That is all that
//! reaches a port of the host's in IPv6 where the container has IPv4 alone, and what the host itself
//! sends to `[::1]`.
//!
//! One process for all ports of all containers, which goes on while the daemon is down. The daemon binds
//! the sockets, which the container's shim keeps, and hands copies over ([`Client`]); what nftables
//! translates never comes to them. One thread, one epoll loop. TCP is moved by `splice`, so that the
//! bytes never come here; a connection that is idle costs two descriptors and nothing else.
//!
//! | module | purpose |
//! |---|---|
//! | `model`, `protocol`, `client`, `requests` | how the daemon tells it |
//! | `server`, `doors` | the loop, and the sockets that were handed over |
//! | `flow`, `flows`, `pump` | connections |
//! | `sessions` | datagrams |
//! | `limits` | how much there may be of everything |

mod client;
mod doors;
mod flow;
mod flows;
mod limits;
mod model;
mod poll;
mod protocol;
mod pump;
mod requests;
mod server;
mod sessions;

pub use client::{Client, Error};
pub use limits::Limits;
pub use model::{Door, Proto};
pub use protocol::{Status, VERSION};
pub use server::serve;
