//! Who is who in a cluster: the root that everybody trusts, the certificates that it gives to nodes, the
//! tokens by which a node asks for its first one, and the settings of TLS that hold nodes to all that.
//!
//! A node's certificate says its identifier (the common name), its role (the organisational unit,
//! `swarm-manager` or `swarm-worker`) and its cluster (the organisation), as those of Docker's do. Nothing here
//! does I/O or asks a clock: the time is given.

mod certificate;
mod error;
mod root;
#[cfg(test)]
mod tests;
mod tls;
mod token;

pub use certificate::Identity;
pub use error::{Error, Result};
pub use root::{Request, Root};
pub use tls::{Credentials, Peer, client, server};
pub use token::{Digest, Token};
