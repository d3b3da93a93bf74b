//! A client of the Docker Engine API: HTTP/1.1 over a Unix or TCP socket,
//! TLS or `ssh`, by hyper directly.
//!
//! bollard was weighed and left out. `inspect` and `--format` need every field that the daemon
//! sends, also those that no crate knows yet, and bollard's models drop them; and the answers'
//! types are ours already, in `types`.
//!
//! No request is spent on finding the API's version: the first one is sent in ours, and
//! a daemon that is older says so, with its version, in the refusal. That request is then sent
//! again in the daemon's. Connections are used again once an answer was read to its end.

mod conn;
mod dial;
mod error;
mod host;
mod request;
pub(crate) mod ssh;
mod stream;
mod tls;

pub(crate) use conn::Client;
pub(crate) use dial::{Duplex, Endpoint, check};
pub(crate) use error::Error;
pub(crate) use host::DEFAULT as DEFAULT_HOST;
use host::Host;
pub(crate) use request::{Answer, Request};
pub(crate) use stream::{Demux, Piece};
pub(crate) use tls::Tls;
