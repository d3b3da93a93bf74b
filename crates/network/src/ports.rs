//! Published ports: who has which, and the sockets that keep others off.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, ipproto, sockopt};

use crate::endpoint::{Proto, PublishedPort};
use crate::error::{Error, Result};
use crate::wishes::Wish;

/// The ports of our containers, with their owners.
#[derive(Debug, Default)]
pub(crate) struct PortTable(HashMap<(Proto, u16), Vec<(IpAddr, String)>>);

impl PortTable {
    fn owner(&self, proto: Proto, host_ip: IpAddr, port: u16) -> Option<&str> {
        let owners = self.0.get(&(proto, port))?;
        let clash = |ip: IpAddr| {
            ip.is_ipv4() == host_ip.is_ipv4()
                && (ip == host_ip || ip.is_unspecified() || host_ip.is_unspecified())
        };
        owners
            .iter()
            .find(|(ip, _)| clash(*ip))
            .map(|(_, id)| id.as_str())
    }

    /// Enters a port; one that is open without the host's part is nobody's.
    pub(crate) fn add(&mut self, id: &str, port: &PublishedPort) {
        if port.host_port == 0 {
            return;
        }
        let owners = self.0.entry((port.proto, port.host_port)).or_default();
        owners.push((port.host_ip, id.to_owned()));
    }

    pub(crate) fn remove_all(&mut self, id: &str, ports: &[PublishedPort]) {
        for port in ports {
            let key = (port.proto, port.host_port);
            if let Some(owners) = self.0.get_mut(&key) {
                owners.retain(|(ip, owner)| *ip != port.host_ip || owner != id);
                if owners.is_empty() {
                    self.0.remove(&key);
                }
            }
        }
    }

    /// Binds and enters these: all of them or, on any error, nothing.
    pub(crate) fn bind(&mut self, id: &str, wishes: &[Wish]) -> Result<Bound> {
        let mut bound = Bound::default();
        for wish in wishes {
            if let Err(e) = self.bind_one(id, wish, &mut bound) {
                self.remove_all(id, &bound.ports);
                return Err(e);
            }
        }
        Ok(bound)
    }

    fn bind_one(&mut self, id: &str, wish: &Wish, all: &mut Bound) -> Result<()> {
        all.ports
            .extend(wish.open.iter().map(|ip| wish.port(*ip, 0)));
        let Some((first, others)) = wish.bound.split_first() else {
            return Ok(());
        };
        let wanted = |host_ip| Wanted {
            proto: wish.proto,
            host_ip,
            container_port: wish.container_port,
        };
        let range = wish.host_port.clone();
        let mut failure = None;
        // What the kernel chose in one family may be taken in the other.
        let attempts = if range == (0..=0) { 8 } else { 1 };
        for port in (0..attempts).flat_map(|_| range.clone()) {
            let bind = || {
                let one = wanted(*first).bind(self, port)?;
                let number = one.0.host_port;
                let rest = others.iter().map(|ip| wanted(*ip).bind(self, number));
                std::iter::once(Ok(one))
                    .chain(rest)
                    .collect::<Result<Vec<_>>>()
            };
            match bind() {
                Ok(bound) => {
                    for (port, socket) in bound {
                        self.add(id, &port);
                        all.ports.push(port);
                        all.held.push(socket);
                    }
                    return Ok(());
                }
                Err(e @ Error::NoSctp(_)) => return Err(e),
                Err(e) => failure = Some(e),
            }
        }
        let (start, end) = (*range.start(), *range.end());
        Err(match failure {
            Some(source) if start != end => Error::RangeTaken {
                host_ip: *first,
                first: start,
                last: end,
                proto: wish.proto,
                source: Box::new(source),
            },
            Some(e) => e,
            None => Error::BadPort(format!("host port {start}-{end}/{}", wish.proto)),
        })
    }
}

/// Ports, and the sockets that keep them.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    pub(crate) ports: Vec<PublishedPort>,
    pub(crate) held: Vec<OwnedFd>,
}

struct Wanted {
    proto: Proto,
    host_ip: IpAddr,
    container_port: u16,
}

impl Wanted {
    /// Binds this port, or any free one for 0.
    fn bind(&self, table: &PortTable, port: u16) -> Result<(PublishedPort, OwnedFd)> {
        if let Some(owner) = table.owner(self.proto, self.host_ip, port) {
            return Err(Error::PortAllocated {
                host_ip: self.host_ip,
                port,
                proto: self.proto,
                owner: owner.to_owned(),
            });
        }
        let refused = |e: io::Error| match (self.proto, Errno::from_io_error(&e)) {
            (Proto::Sctp, Some(Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT)) => {
                Error::NoSctp(self.container_port)
            }
            (_, Some(Errno::ADDRINUSE)) => Error::PortTaken {
                host_ip: self.host_ip,
                port,
                container_port: self.container_port,
                proto: self.proto,
                holder: None,
            },
            (_, code) => Error::PortBind {
                host_ip: self.host_ip,
                port,
                container_port: self.container_port,
                proto: self.proto,
                reason: match code {
                    Some(Errno::ADDRNOTAVAIL) => {
                        format!(
                            "cannot assign requested address (no link has {})",
                            self.host_ip
                        )
                    }
                    _ => e.to_string(),
                },
            },
        };
        // What the kernel chose for 0 may still be a port of ours whose socket was lost with a
        // killed shim; keep such sockets until another one is found.
        let mut unsuitable = Vec::new();
        loop {
            let socket = hold(self.proto, self.host_ip, port).map_err(refused)?;
            let bound = bound_port(&socket).map_err(refused)?;
            if port == 0 && table.owner(self.proto, self.host_ip, bound).is_some() {
                unsuitable.push(socket);
                continue;
            }
            let published = PublishedPort {
                proto: self.proto,
                host_ip: self.host_ip,
                host_port: bound,
                container_port: self.container_port,
            };
            return Ok((published, socket));
        }
    }
}

/// So many connections wait for the relay.
const BACKLOG: i32 = 4096;

/// Binds a port, so that nobody else can have it; in IPv4 without listening. No SO_REUSEADDR: two such
/// sockets may share a port until one listens.
fn hold(proto: Proto, ip: IpAddr, port: u16) -> io::Result<OwnedFd> {
    let socket = open(proto, ip)?;
    let address = SocketAddr::new(ip, port);
    match rustix::net::bind(&socket, &address) {
        Ok(()) if proto == Proto::Tcp && ip.is_ipv6() => {
            // What is not translated is for the relay, which may not have its copy yet.
            rustix::net::listen(&socket, BACKLOG)?;
            // Only now, when it lets nobody else in: connections inherit it, and those that linger do
            // not keep the port from the next container.
            sockopt::set_socket_reuseaddr(&socket, true)?;
            Ok(socket)
        }
        Ok(()) => Ok(socket),
        // Connections of an earlier listener that linger (TIME_WAIT) are no reason to refuse. A
        // socket that may share the port tells them from a real owner; then it has to listen,
        // which shuts the others out. In IPv4 nothing reaches it: the port is translated before.
        Err(Errno::ADDRINUSE) if proto == Proto::Tcp => {
            let socket = open(proto, ip)?;
            sockopt::set_socket_reuseaddr(&socket, true)?;
            rustix::net::bind(&socket, &address)?;
            rustix::net::listen(&socket, if ip.is_ipv6() { BACKLOG } else { 0 })?;
            Ok(socket)
        }
        Err(e) => Err(e.into()),
    }
}

fn open(proto: Proto, ip: IpAddr) -> io::Result<OwnedFd> {
    let (kind, protocol): (SocketType, Option<Protocol>) = match proto {
        Proto::Tcp => (SocketType::STREAM, None),
        Proto::Udp => (SocketType::DGRAM, None),
        Proto::Sctp => (SocketType::STREAM, Some(ipproto::SCTP)),
    };
    let family = if ip.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
    if ip.is_ipv6() {
        // IPv4 has sockets of its own.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

fn bound_port(socket: &OwnedFd) -> io::Result<u16> {
    let address = rustix::net::getsockname(socket)?;
    Ok(SocketAddr::try_from(address)?.port())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn who_has_a_port() {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let one = IpAddr::from([10, 0, 0, 1]);
        let other = IpAddr::from([10, 0, 0, 2]);
        let port = |host_ip| PublishedPort {
            proto: Proto::Tcp,
            host_ip,
            host_port: 80,
            container_port: 80,
        };
        let mut table = PortTable::default();
        table.add("a", &port(one));
        assert_eq!(table.owner(Proto::Tcp, one, 80), Some("a"));
        assert_eq!(table.owner(Proto::Tcp, any, 80), Some("a"));
        assert_eq!(table.owner(Proto::Tcp, other, 80), None);
        assert_eq!(table.owner(Proto::Udp, one, 80), None);
        assert_eq!(
            table.owner(Proto::Tcp, Ipv6Addr::UNSPECIFIED.into(), 80),
            None
        );
        table.add("b", &port(other));
        table.remove_all("a", &[port(one)]);
        assert_eq!(table.owner(Proto::Tcp, any, 80), Some("b"));
        table.remove_all("b", &[port(other)]);
        assert!(table.0.is_empty());
    }
}
