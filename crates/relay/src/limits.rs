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
/// Where the kernel is short of something, it is asked again after so long.
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

/// What a connection that is stuck in both directions takes: two sockets, and two pipes of two ends.
const OF_A_CONNECTION: usize = 6;
/// What a client of UDP takes.
const OF_A_SESSION: usize = 1;

/// How many connections and clients there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections, all together.
    pub connections: usize,
    /// Connections of one container.
    pub connections_of_one: usize,
    /// Clients of UDP, all together.
    pub sessions: usize,
    /// Clients of UDP of one container.
    pub sessions_of_one: usize,
    /// Descriptors for them and for the doors.
    files: usize,
}

impl Limits {
    /// By the descriptors that this process may have.
    #[must_use]
    pub fn new() -> Self {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20);
        let files = usize::try_from(most.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
        Self::of(files, 0)
    }

    /// What there may be beside so many descriptors of doors.
    pub(crate) fn beside(self, doors: usize) -> Self {
        Self::of(self.files, doors)
    }

    fn of(files: usize, doors: usize) -> Self {
        let each = files.saturating_sub(doors) / (OF_A_CONNECTION + OF_A_SESSION);
        // Some there are to be even so: they wait where there is not enough.
        let connections = each.clamp(32, 16_384);
        let sessions = each.clamp(32, 8_192);
        Self {
            connections,
            connections_of_one: (connections / 4).max(32),
            sessions,
            sessions_of_one: (sessions / 4).max(32),
            files,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_counted() {
        for (files, doors) in [(3_840, 0), (3_840, 2_000), (1_000_000, 0), (768, 500)] {
            let limits = Limits::of(files, 0).beside(doors);
            let taken = limits.connections * OF_A_CONNECTION + limits.sessions * OF_A_SESSION;
            assert!(taken + doors <= files, "{files} {doors}: {limits:?}");
        }
        let limits = Limits::of(3_840, 0);
        assert_eq!(limits.beside(3_840).connections, 32);
        assert_eq!(limits.beside(3_840).beside(0), limits);
    }
}
