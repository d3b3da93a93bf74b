//! IPv4 addresses and routes.

use std::net::Ipv4Addr;

use super::link::{ACK, CREATE, DUMP};
use super::{Attrs, Batch, Error, Socket};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;
const INET: u8 = libc::AF_INET as u8;

/// An IPv4 address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The link's number.
    pub link: u32,
    /// The address.
    pub ip: Ipv4Addr,
    /// The length of its subnet's prefix.
    pub prefix: u8,
}

/// An IPv4 route to somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The link it leaves by.
    pub link: Option<u32>,
    /// The subnet it leads to; `0.0.0.0` with prefix 0 is everything else.
    pub to: Ipv4Addr,
    /// The length of that subnet's prefix.
    pub prefix: u8,
    /// The kind of route as in `rtm_type`; 1 is an ordinary one.
    pub kind: u8,
}

/// `struct ifaddrmsg`.
fn ifaddr(a: Address) -> [u8; 8] {
    let mut b = [INET, a.prefix, 0, 0, 0, 0, 0, 0];
    b[4..].copy_from_slice(&a.link.to_ne_bytes());
    b
}

/// Adds a request to give a link an address.
pub fn new_address(batch: &mut Batch, a: Address) {
    let what = format!("give link {} the address {}/{}", a.link, a.ip, a.prefix);
    batch.push(RTM_NEWADDR, ACK | CREATE, what, |b| {
        b.raw(&ifaddr(a));
        b.attr(IFA_LOCAL, &a.ip.octets());
        b.attr(IFA_ADDRESS, &a.ip.octets());
        if a.prefix < 31 {
            let broadcast = u32::from(a.ip) | (u32::MAX >> a.prefix);
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
        b.attr(IFA_LOCAL, &a.ip.octets());
    });
}

/// Adds a request for a default route by `gateway`.
pub fn new_default_route(batch: &mut Batch, gateway: Ipv4Addr) {
    batch.push(
        RTM_NEWROUTE,
        ACK | CREATE,
        format!("route everything by {gateway}"),
        |b| {
            // struct rtmsg: family, lengths, tos, table, protocol, scope, kind, flags.
            b.raw(&[
                INET,
                0,
                0,
                0,
                RT_TABLE_MAIN,
                RTPROT_BOOT,
                0,
                RTN_UNICAST,
                0,
                0,
                0,
                0,
            ]);
            b.attr(RTA_GATEWAY, &gateway.octets());
        },
    );
}

/// All IPv4 addresses of the namespace.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn addresses(socket: &mut Socket) -> Result<Vec<Address>, Error> {
    let mut batch = Batch::new();
    batch.push(RTM_GETADDR, DUMP, "list the addresses".into(), |b| {
        b.raw(&[INET, 0, 0, 0, 0, 0, 0, 0]);
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

/// All IPv4 routes of the namespace, of every table.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn routes(socket: &mut Socket) -> Result<Vec<Route>, Error> {
    let mut batch = Batch::new();
    batch.push(RTM_GETROUTE, DUMP, "list the routes".into(), |b| {
        b.raw(&[INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    });
    socket.dump(&mut batch, |p| {
        let attrs = Attrs(p.get(12..)?);
        Some(Route {
            link: attrs.u32(RTA_OIF),
            to: attrs
                .get(RTA_DST)
                .and_then(ip)
                .unwrap_or(Ipv4Addr::UNSPECIFIED),
            prefix: p[1],
            kind: p[7],
        })
    })
}

fn ip(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}
