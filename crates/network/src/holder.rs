//! Who on the host has a port that cannot be had.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sys::netlink::{Bound, Socket, bound_sockets};

use crate::endpoint::Proto;

/// Looking through the descriptors of all processes takes no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// A process.
    Process {
        /// What it is called.
        name: String,
        /// Its number.
        pid: u32,
    },
    /// Somebody has a socket there, and no process that we see.
    Unseen,
    /// The kernel does not tell.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { name, pid } => write!(f, "by {name}, process {pid}"),
            Self::Unseen => f.write_str(
                "by no process that the daemon sees: one in another PID namespace, or the kernel",
            ),
            Self::Unknown => f.write_str("the kernel does not tell by whom"),
        }
    }
}

impl Holder {
    /// Who keeps others from having this port.
    pub(crate) fn of(proto: Proto, ip: IpAddr, port: u16) -> Self {
        let sockets = match in_the_way(proto, ip, port) {
            Ok(sockets) if !sockets.is_empty() => sockets,
            Ok(_) => return Self::Unknown,
            Err(e) => {
                tracing::debug!("cannot ask who has port {port}: {e}");
                return Self::Unknown;
            }
        };
        let until = Instant::now() + PATIENCE;
        let held = sockets.iter().filter(|s| s.inode != 0);
        let names: Vec<String> = held.map(|s| format!("socket:[{}]", s.inode)).collect();
        match process_with(&names, until) {
            Some((name, pid)) => Self::Process { name, pid },
            None => Self::Unseen,
        }
    }
}

/// Sockets that have the port on this address, or on all; those that listen first.
fn in_the_way(proto: Proto, ip: IpAddr, port: u16) -> Result<Vec<Bound>, sys::netlink::Error> {
    let mut socket = Socket::diagnosis()?;
    let mut all = bound_sockets(&mut socket, ip.is_ipv4(), proto.number(), port)?;
    if ip.is_ipv4() {
        // One of IPv6 may take IPv4 as well.
        all.extend(bound_sockets(&mut socket, false, proto.number(), port)?);
    }
    all.retain(|s| clash(s.ip, s.only_ipv6, ip));
    all.sort_by_key(|s| !s.listens);
    Ok(all)
}

/// Whether a socket with this address keeps one with that address from being made.
fn clash(theirs: IpAddr, only_ipv6: bool, ip: IpAddr) -> bool {
    let theirs = theirs.to_canonical();
    match (theirs.is_ipv4(), ip.is_ipv4()) {
        (false, true) => theirs.is_unspecified() && !only_ipv6,
        (true, false) => false,
        _ => theirs == ip || theirs.is_unspecified() || ip.is_unspecified(),
    }
}

/// The first process that has one of these open.
fn process_with(sockets: &[String], until: Instant) -> Option<(String, u32)> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // A program's first process, not one that it started.
    pids.sort_unstable();
    pids.into_iter()
        .take_while(|_| Instant::now() < until)
        .find(|pid| has_one(*pid, sockets))
        .map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (name.trim_end().to_owned(), pid)
        })
}

fn has_one(pid: u32, sockets: &[String]) -> bool {
    let Ok(all) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    all.flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .any(|to| {
            to.to_str()
                .is_some_and(|to| sockets.iter().any(|s| s == to))
        })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn own() -> Holder {
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        Holder::Process {
            name: name.trim_end().to_owned(),
            pid: std::process::id(),
        }
    }

    #[test]
    fn who_has_a_port_is_found() {
        let any: IpAddr = [0; 4].into();
        let local: IpAddr = [127, 0, 0, 1].into();
        let listener = TcpListener::bind((local, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(Holder::of(Proto::Tcp, any, port), own());
        assert_eq!(Holder::of(Proto::Tcp, local, port), own());
        assert_eq!(
            Holder::of(Proto::Tcp, [127, 0, 0, 2].into(), port),
            Holder::Unknown
        );
        let udp = UdpSocket::bind((any, 0)).unwrap();
        let port = udp.local_addr().unwrap().port();
        assert_eq!(Holder::of(Proto::Udp, local, port), own());
        drop(udp);
        assert_eq!(Holder::of(Proto::Udp, local, port), Holder::Unknown);
    }

    #[test]
    fn a_socket_of_ipv6_has_the_port_in_ipv4_too() {
        let Ok(listener) = TcpListener::bind("[::]:0") else {
            return; // no IPv6 here
        };
        let port = listener.local_addr().unwrap().port();
        assert_eq!(Holder::of(Proto::Tcp, [0; 4].into(), port), own());
    }

    #[test]
    fn which_sockets_are_in_the_way() {
        let is = |theirs: &str, only_ipv6, wanted: &str| {
            clash(theirs.parse().unwrap(), only_ipv6, wanted.parse().unwrap())
        };
        assert!(is("0.0.0.0", false, "10.0.0.1") && is("10.0.0.1", false, "0.0.0.0"));
        assert!(!is("10.0.0.2", false, "10.0.0.1") && !is("10.0.0.2", false, "::"));
        assert!(is("::", false, "10.0.0.1") && !is("::", true, "10.0.0.1"));
        assert!(is("::ffff:10.0.0.1", false, "10.0.0.1"));
        assert!(is("::", true, "fd00::1") && !is("fd00::2", true, "fd00::1"));
    }
}
