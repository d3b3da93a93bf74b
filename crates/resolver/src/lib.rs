//! The name server of a host's containers: a small process of its own, so that it goes on
//! answering while the daemon is down.
//!
//! The daemon makes a UDP and a TCP socket inside each container's network namespace and hands
//! them over ([`Client`]). The socket that a question comes in by tells who asks, so no address is
//! believed. One thread, one epoll loop, no async runtime: what it costs is a few MB.
//!
//! | module | purpose |
//! |---|---|
//! | `model` | who asks, and what names there are; what is kept on disk |
//! | `protocol`, `client`, `requests` | how the daemon tells it |
//! | `zones`, `answer` | what is answered from our own knowledge: pure functions |
//! | `forward`, `attempt`, `upstream`, `question` | what is passed on to other servers |
//! | `server`, `askers`, `tcp` | the loop and its sockets |
//! | `log` | what it has to say, in a file of its own |
//!
//! The loop itself, the connections of the daemon's, and how it finds and starts the process are shared
//! with other programs: crate `companion`.

mod answer;
mod askers;
mod attempt;
mod client;
mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod log;
mod model;
mod poll;
mod protocol;
mod question;
mod random;
mod requests;
mod server;
mod state;
mod tcp;
mod upstream;
mod zones;

pub use client::{AskerFds, Client, Error};
pub use log::say;
pub use model::{Asker, Endpoint, Network, Origin, SingleLabels, Subnet, Upstream};
pub use protocol::{Status, VERSION};
pub use server::{Options, serve};

/// For tests that throw garbage at it: what is said to a question, or nothing.
#[doc(hidden)]
#[must_use]
pub fn reply_to(asker: &Asker, networks: &[Network], message: &[u8], tcp: bool) -> Option<Vec<u8>> {
    let mut zones = zones::Zones::default();
    for network in networks {
        zones.set(network.clone());
    }
    let mut random = random::Random::new();
    match answer::judge(message, asker, &zones, &mut random, tcp) {
        answer::Verdict::Reply(bytes) => Some(bytes),
        answer::Verdict::Forward | answer::Verdict::Ignore => None,
    }
}
