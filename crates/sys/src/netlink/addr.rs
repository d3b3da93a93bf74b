//! Addresses and routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::link::{ACK, CREATE, DUMP};
use super::{Attrs, Batch, Error, Socket};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
/// An IPv6 address is used at once, without asking around whether somebody has it.
const IFA_F_NODAD: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;
const REPLACE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;

/// The number of an address's family.
fn family(ip: IpAddr) -> u8 {
    (if ip.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    }) as u8
}

/// The bytes of an address, as packets have them.
#[must_use]
pub fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The link's number.
    pub link: u32,
    /// The address.
    pub ip: IpAddr,
    /// The length of its subnet's prefix.
    pub prefix: u8,
}

/// A route to somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The link it leaves by.
    pub link: Option<u32>,
    /// The subnet it leads to; an address of zeros with prefix 0 is everything else.
    pub to: IpAddr,
    /// The length of that subnet's prefix.
    pub prefix: u8,
    /// The kind of route as in `rtm_type`; 1 is an ordinary one.
    pub kind: u8,
}

/// `struct ifaddrmsg`.
fn ifaddr(a: Address) -> [u8; 8] {
    let flags = if a.ip.is_ipv6() { IFA_F_NODAD } else { 0 };
    let mut b = [family(a.ip), a.prefix, flags, 0, 0, 0, 0, 0];
    b[4..].copy_from_slice(&a.link.to_ne_bytes());
    b
}

/// Adds a request to give a link an address.
pub fn new_address(batch: &mut Batch, a: Address) {
    let what = format!("give link {} the address {}/{}", a.link, a.ip, a.prefix);
    batch.push(RTM_NEWADDR, ACK | CREATE, what, |b| {
        b.raw(&ifaddr(a));
        b.attr(IFA_LOCAL, &octets(a.ip));
        b.attr(IFA_ADDRESS, &octets(a.ip));
        if let IpAddr::V4(ip) = a.ip
            && a.prefix < 31
        {
            let broadcast = u32::from(ip) | (u32::MAX >> a.prefix);
            b.attr_be32(IFA_BROADCAST, broadcast);
        }
    });
}

/// Adds a request to take an address from a link.
pub fn delete_address(batch: &mut Batch, a: Address) {
    let what = format!(
        "take the address {}/{} from link {}",
        a.ip, a.prefix, a.link
    );
    batch.push(RTM_DELADDR, ACK, what, |b| {
        b.raw(&ifaddr(a));
        b.attr(IFA_LOCAL, &octets(a.ip));
    });
}

/// Adds a request for a default route by `gateway`, in the place of the one that is there.
pub fn set_default_route(batch: &mut Batch, gateway: IpAddr) {
    let what = format!("route everything by {gateway}");
    batch.push(RTM_NEWROUTE, ACK | REPLACE, what, |b| {
        b.raw(&default_route(gateway.is_ipv4()));
        b.attr(RTA_GATEWAY, &octets(gateway));
    });
}

/// Adds a request for a default route by a link, without a gateway.
pub fn set_default_route_by(batch: &mut Batch, link: u32, ipv4: bool) {
    let what = format!("route everything by link {link}");
    batch.push(RTM_NEWROUTE, ACK | REPLACE, what, |b| {
        b.raw(&default_route(ipv4));
        b.attr_u32(RTA_OIF, link);
    });
}

/// Adds a request to remove the default route.
pub fn delete_default_route(batch: &mut Batch, ipv4: bool) {
    let what = "remove the default route".to_owned();
    batch.push(RTM_DELROUTE, ACK, what, |b| b.raw(&default_route(ipv4)));
}

/// `struct rtmsg`: family, lengths, tos, table, protocol, scope, kind, flags.
fn default_route(ipv4: bool) -> [u8; 12] {
    let family = if ipv4 { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let table = RT_TABLE_MAIN;
    [
        family,
        0,
        0,
        0,
        table,
        RTPROT_BOOT,
        0,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ]
}

/// All addresses of the namespace.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn addresses(socket: &mut Socket) -> Result<Vec<Address>, Error> {
    let mut batch = Batch::new();
    batch.push(RTM_GETADDR, DUMP, "list the addresses".into(), |b| {
        b.raw(&[0; 8]);
    });
    socket.dump(&mut batch, |p| {
        let attrs = Attrs(p.get(8..)?);
        Some(Address {
            link: u32::from_ne_bytes(p.get(4..8)?.try_into().ok()?),
            ip: ip(attrs.get(IFA_LOCAL).or(attrs.get(IFA_ADDRESS))?)?,
            prefix: p[1],
        })
    })
}

/// All routes of the namespace, of every table.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn routes(socket: &mut Socket) -> Result<Vec<Route>, Error> {
    let mut batch = Batch::new();
    batch.push(RTM_GETROUTE, DUMP, "list the routes".into(), |b| {
        b.raw(&[0; 12]);
    });
    socket.dump(&mut batch, |p| {
        let attrs = Attrs(p.get(12..)?);
        Some(Route {
            link: attrs.u32(RTA_OIF),
            to: match attrs.get(RTA_DST) {
                Some(bytes) => ip(bytes)?,
                None if p[0] == libc::AF_INET as u8 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            },
            prefix: p[1],
            kind: p[7],
        })
    })
}

pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
