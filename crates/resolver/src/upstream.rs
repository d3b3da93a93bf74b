//! Other servers: which are asked first, and sockets towards them.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::model::{Origin, Upstream};

/// A server that failed is asked after all others for so long.
const BAD_FOR: Duration = Duration::from_secs(10);
/// More failures than that are not remembered.
const MOST: usize = 4096;

/// A server as one asker sees it; servers asked from the host are the same for all.
type Key = (Upstream, Option<u64>);

/// Which servers failed lately.
#[derive(Default)]
pub(crate) struct Health(HashMap<Key, Instant>);

impl Health {
    fn key(upstream: Upstream, asker: u64) -> Key {
        let own = upstream.origin == Origin::Container;
        (upstream, own.then_some(asker))
    }

    pub(crate) fn good(&mut self, upstream: Upstream, asker: u64) {
        self.0.remove(&Self::key(upstream, asker));
    }

    pub(crate) fn bad(&mut self, upstream: Upstream, asker: u64, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.len() < MOST {
            self.0.insert(Self::key(upstream, asker), now + BAD_FOR);
        }
    }

    /// The servers in the order to ask them in.
    pub(crate) fn order(&self, all: &[Upstream], asker: u64, now: Instant) -> Vec<Upstream> {
        let is_bad = |u: &Upstream| self.0.get(&Self::key(*u, asker)).is_some_and(|t| *t > now);
        let (bad, mut order): (Vec<_>, Vec<_>) = all.iter().copied().partition(is_bad);
        order.extend(bad);
        order
    }
}

/// Can it be asked without asking ourselves?
pub(crate) fn is_usable(upstream: &Upstream) -> bool {
    let ip = upstream.address.ip();
    let ourselves = upstream.origin == Origin::Container && ip == IpAddr::from([127, 0, 0, 11]);
    !ourselves && !ip.is_unspecified() && !ip.is_multicast()
}

/// A socket that is connected, or about to be, to a server. The kernel chooses its port at random.
pub(crate) fn open(
    address: SocketAddr,
    kind: SocketType,
    inside: Option<&OwnedFd>,
    home: &OwnedFd,
) -> io::Result<OwnedFd> {
    let Some(inside) = inside else {
        return connected(address, kind);
    };
    enter(inside)?;
    let socket = connected(address, kind);
    if enter(home).is_err() {
        // Everything that follows would happen in a container's namespace.
        std::process::abort();
    }
    socket
}

fn enter(namespace: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(
        namespace.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

fn connected(address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, kind, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_ones_come_last_for_a_while() {
        let server = |port, origin| Upstream {
            address: SocketAddr::from(([10, 0, 0, 1], port)),
            origin,
        };
        let all = [server(1, Origin::Host), server(2, Origin::Container)];
        let (a, b) = (all[0], all[1]);
        let (mut health, now) = (Health::default(), Instant::now());
        assert_eq!(health.order(&all, 1, now), [a, b]);
        health.bad(a, 1, now);
        assert_eq!(health.order(&all, 2, now), [b, a]);
        health.bad(b, 1, now);
        assert_eq!(health.order(&all, 1, now), [a, b]);
        // What is bad from one container is not so from another.
        assert_eq!(health.order(&all, 2, now), [b, a]);
        health.good(a, 9);
        assert_eq!(health.order(&all, 1, now), [a, b]);
        health.bad(a, 1, now);
        assert_eq!(health.order(&all, 2, now + BAD_FOR), [a, b]);
    }

    #[test]
    fn we_are_not_our_own_upstream() {
        let usable = |address: &str, origin| {
            is_usable(&Upstream {
                address: address.parse().unwrap(),
                origin,
            })
        };
        assert!(!usable("127.0.0.11:53", Origin::Container));
        assert!(usable("127.0.0.11:53", Origin::Host));
        assert!(!usable("0.0.0.0:53", Origin::Host));
        assert!(usable("[fe80::1%2]:53", Origin::Host));
    }
}
