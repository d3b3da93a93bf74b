//! How much there may be of everything. What is more waits (connections) or is dropped (datagrams).

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// A container's address that does not answer is given up after so long.
pub(crate) const CONNECTING: Duration = Duration::from_secs(20);
/// What a container that has ended still had to say has so long to arrive.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(10);
/// A client of UDP that neither sends nor gets anything is forgotten after so long, as by Docker.
pub(crate) const IDLE: Duration = Duration::from_secs(90);
/// One that asked once and got its answer, after so long, as by the kernel where it translates.
pub(crate) const BRIEF: Duration = Duration::from_secs(30);
/// Where the kernel is short of something, connections are taken again after so long.
pub(crate) const SHORT_OF: Duration = Duration::from_millis(100);
/// So many connections or datagrams are taken before others have their turn.
pub(crate) const IN_A_ROW: usize = 32;
/// So much is moved by one system call.
pub(crate) const PIECE: usize = 64 << 10;
/// So many pieces are moved in one direction before others have their turn.
pub(crate) const PIECES: usize = 8;
/// So many pipes are kept for the next that needs one.
pub(crate) const SPARE_PIPES: usize = 16;

/// Descriptors that are left alone: the loop's own, the daemon's connections.
const RESERVED: u64 = 256;

/// How many connections and clients there may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections, all together.
    pub connections: usize,
    /// Connections of one container.
    pub connections_of_one: usize,
    /// Clients of UDP, all together.
    pub sessions: usize,
    /// Clients of UDP of one container.
    pub sessions_of_one: usize,
}

impl Limits {
    /// By the descriptors that this process may have.
    #[must_use]
    pub fn new() -> Self {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20);
        let free = usize::try_from(most.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
        // Two sockets and two pipes for each that is stuck in both directions.
        let connections = (free / 8).clamp(32, 16_384);
        let sessions = (free / 8).clamp(32, 8_192);
        Self {
            connections,
            connections_of_one: (connections / 4).max(32),
            sessions,
            sessions_of_one: (sessions / 4).max(32),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
