//! Rules: a row of expressions, each one attribute nest.

use std::net::IpAddr;

use super::{DATA_VALUE, DATA_VERDICT, Family, LIST_ELEM};
use crate::netlink::{Batch, octets};

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
/// Scratch registers are used from here: sixteen of four bytes, in order.
const REG32: u32 = 8;
const REG_VERDICT: u32 = 0;
const CMP_EQ: u32 = 0;
const CMP_NEQ: u32 = 1;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_L4PROTO: u32 = 16;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;

/// Bits of a connection to test for; one of those given must be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The packet belongs to, or is about, a connection that was let through before.
    Known,
    /// The connection's destination was translated.
    DestinationTranslated,
}

/// Kinds of destination address, by the host's routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fib {
    /// One of the host's own.
    Local = 2,
}

/// A part of a packet that makes up the key of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The transport protocol's number.
    Protocol,
    /// The source address, of this family.
    Source(Family),
    /// The destination address, of this family.
    Destination(Family),
    /// The link that it came in by.
    CameBy,
    /// The link that it goes out by.
    GoesBy,
    /// The transport protocol's destination port.
    Port,
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// One of a packet's two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortOf {
    /// Of who sent it.
    Source,
    /// Of who gets it.
    Destination,
}

/// How a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The packet goes no further.
    Drop,
    /// The packet passes this hook's chain.
    Accept,
    /// On with another chain, then back.
    Jump(&'a str),
}

impl Verdict<'_> {
    pub(super) fn write(self, b: &mut Batch) {
        let (code, chain) = match self {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3, Some(chain)),
        };
        b.nest(DATA_VERDICT, |b| {
            b.attr_be32(1, code as u32);
            if let Some(chain) = chain {
                b.attr_str(2, chain);
            }
        });
    }
}

/// A link's name as a key: sixteen bytes.
#[must_use]
pub fn link_key(link: &str) -> [u8; libc::IFNAMSIZ] {
    let mut name = [0; libc::IFNAMSIZ];
    let len = link.len().min(libc::IFNAMSIZ - 1);
    name[..len].copy_from_slice(&link.as_bytes()[..len]);
    name
}

/// A rule under construction: conditions first, then what to do.
#[derive(Debug, Default)]
pub struct Rule {
    pub(super) expressions: Batch,
    pub(super) comment: Option<String>,
}

impl Rule {
    /// A rule that matches everything and does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A remark shown by `nft list`.
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        self.comment = Some(text.to_owned());
        self
    }

    /// The packet came in by this link, or by any other one if not `same`.
    #[must_use]
    pub fn came_by(self, link: &str, same: bool) -> Self {
        self.link(META_IIFNAME, link, same)
    }

    /// The packet goes out by this link, or by any other one if not `same`.
    #[must_use]
    pub fn goes_by(self, link: &str, same: bool) -> Self {
        self.link(META_OIFNAME, link, same)
    }

    fn link(mut self, key: u32, link: &str, same: bool) -> Self {
        self.meta(REG32, key);
        self.compare(if same { CMP_EQ } else { CMP_NEQ }, &link_key(link));
        self
    }

    /// The packet's source address lies in this subnet.
    #[must_use]
    pub fn from_subnet(self, ip: IpAddr, prefix: u8) -> Self {
        self.subnet(Key::Source(Family::of(ip)), ip, prefix, true)
    }

    /// The packet's destination address lies in this subnet, or outside of it if not `inside`.
    #[must_use]
    pub fn to_subnet(self, ip: IpAddr, prefix: u8, inside: bool) -> Self {
        self.subnet(Key::Destination(Family::of(ip)), ip, prefix, inside)
    }

    fn subnet(mut self, part: Key, ip: IpAddr, prefix: u8, inside: bool) -> Self {
        let address = octets(ip);
        let bits = |at: usize| usize::from(prefix).saturating_sub(8 * at).min(8);
        let mask: Vec<u8> = (0..address.len())
            .map(|at| (0xff00_u16 >> bits(at)) as u8)
            .collect();
        let network: Vec<u8> = address.iter().zip(&mask).map(|(a, m)| a & m).collect();
        self.load(REG32, part);
        self.mask(&mask);
        self.compare(if inside { CMP_EQ } else { CMP_NEQ }, &network);
        self
    }

    /// The packet's parts are a key of this set, or are not.
    #[must_use]
    pub fn is_in(mut self, set: &str, key: &[Key], is: bool) -> Self {
        self.load_all(key);
        self.expression("lookup", |b| {
            b.attr_str(1, set);
            b.attr_be32(2, REG32);
            if !is {
                b.attr_be32(5, 1); // NFT_LOOKUP_F_INV
            }
        });
        self
    }

    /// On with the chain that this map has for the packet's parts, if it has one.
    #[must_use]
    pub fn jump_by(mut self, map: &str, key: &[Key]) -> Self {
        self.load_all(key);
        self.expression("lookup", |b| {
            b.attr_str(1, map);
            b.attr_be32(2, REG32);
            b.attr_be32(3, REG_VERDICT);
        });
        self
    }

    /// The packet's destination address is of this kind.
    #[must_use]
    pub fn destination_is(mut self, kind: Fib) -> Self {
        self.expression("fib", |b| {
            b.attr_be32(1, REG32);
            b.attr_be32(2, 3); // the result wanted: the address's type
            b.attr_be32(3, 2); // of the destination
        });
        self.compare(CMP_EQ, &(kind as u32).to_ne_bytes());
        self
    }

    /// The connection has this status.
    #[must_use]
    pub fn connection(mut self, status: Status) -> Self {
        let (key, bits) = match status {
            // Established (1 << 1) or related (1 << 2).
            Status::Known => (CT_STATE, 6_u32),
            // IPS_DST_NAT
            Status::DestinationTranslated => (CT_STATUS, 1 << 5),
        };
        self.expression("ct", |b| {
            b.attr_be32(1, REG32);
            b.attr_be32(2, key);
        });
        self.mask(&bits.to_ne_bytes());
        self.compare(CMP_NEQ, &[0; 4]);
        self
    }

    /// The packet is ICMP (of the table's family), of this type if one is given.
    #[must_use]
    pub fn icmp(mut self, family: Family, kind: Option<u8>) -> Self {
        let number = match family {
            Family::Ip6 => libc::IPPROTO_ICMPV6,
            Family::Ip | Family::Inet => libc::IPPROTO_ICMP,
        };
        self.meta(REG32, META_L4PROTO);
        self.compare(CMP_EQ, &[number as u8]);
        if let Some(kind) = kind {
            self.payload(REG32, BASE_TRANSPORT, 0, 1);
            self.compare(CMP_EQ, &[kind]);
        }
        self
    }

    /// Translates the destination to the address (of this family) and port that `map` holds for the
    /// packet.
    #[must_use]
    pub fn translate_by(self, family: Family, map: &str, key: &[Key]) -> Self {
        self.translate(family, map, key, true)
    }

    /// Translates the destination to the address (of this family) that `map` holds for the packet, which
    /// keeps its port.
    #[must_use]
    pub fn translate_address_by(self, family: Family, map: &str, key: &[Key]) -> Self {
        self.translate(family, map, key, false)
    }

    fn translate(mut self, family: Family, map: &str, key: &[Key], port: bool) -> Self {
        self.load_all(key);
        self.expression("lookup", |b| {
            b.attr_str(1, map);
            b.attr_be32(2, REG32);
            b.attr_be32(3, REG32);
        });
        self.expression("nat", |b| {
            b.attr_be32(1, 1); // the destination
            b.attr_be32(2, family.number());
            b.attr_be32(3, REG32);
            if port {
                b.attr_be32(5, REG32 + family.registers());
            }
        });
        self
    }

    /// Where the packet has the port `old`, it gets the port `new`: this packet alone, without a
    /// connection that is noted, as there is for what is translated.
    #[must_use]
    pub fn write_port(mut self, of: Transport, which: PortOf, old: u16, new: u16) -> Self {
        let (protocol, checksum) = match of {
            Transport::Tcp => (libc::IPPROTO_TCP, 16),
            Transport::Udp => (libc::IPPROTO_UDP, 6),
        };
        let offset = match which {
            PortOf::Source => 0,
            PortOf::Destination => 2,
        };
        self.meta(REG32, META_L4PROTO);
        self.compare(CMP_EQ, &[protocol as u8]);
        self.payload(REG32, BASE_TRANSPORT, offset, 2);
        self.compare(CMP_EQ, &old.to_be_bytes());
        self.expression("immediate", |b| {
            b.attr_be32(1, REG32);
            b.nest(2, |b| b.attr(DATA_VALUE, &new.to_be_bytes()));
        });
        self.expression("payload", |b| {
            b.attr_be32(2, BASE_TRANSPORT);
            b.attr_be32(3, offset);
            b.attr_be32(4, 2);
            b.attr_be32(5, REG32); // written from here
            b.attr_be32(6, 1); // a checksum as the Internet protocols have it
            b.attr_be32(7, checksum);
        });
        self
    }

    /// Gives the packet this source address.
    #[must_use]
    pub fn source_becomes(mut self, ip: IpAddr) -> Self {
        self.expression("immediate", |b| {
            b.attr_be32(1, REG32);
            b.nest(2, |b| b.attr(DATA_VALUE, &octets(ip)));
        });
        self.expression("nat", |b| {
            b.attr_be32(1, 0); // the source
            b.attr_be32(2, Family::of(ip).number());
            b.attr_be32(3, REG32);
        });
        self
    }

    /// Gives the packet the address of the link it leaves by.
    #[must_use]
    pub fn masquerade(mut self) -> Self {
        self.expression("masq", |_| {});
        self
    }

    /// Ends the rule.
    #[must_use]
    pub fn verdict(mut self, verdict: Verdict<'_>) -> Self {
        self.expression("immediate", |b| {
            b.attr_be32(1, REG_VERDICT);
            b.nest(2, |b| verdict.write(b));
        });
        self
    }

    /// Puts the parts into registers, one after the other.
    fn load_all(&mut self, key: &[Key]) {
        let mut reg = REG32;
        for part in key {
            reg += self.load(reg, *part);
        }
    }

    /// Puts a part into registers from `reg` on; how many it takes.
    fn load(&mut self, reg: u32, part: Key) -> u32 {
        match part {
            Key::Protocol => self.meta(reg, META_L4PROTO),
            Key::Source(Family::Ip6) => self.payload(reg, BASE_NETWORK, 8, 16),
            Key::Destination(Family::Ip6) => self.payload(reg, BASE_NETWORK, 24, 16),
            Key::Source(_) => self.payload(reg, BASE_NETWORK, 12, 4),
            Key::Destination(_) => self.payload(reg, BASE_NETWORK, 16, 4),
            Key::Port => self.payload(reg, BASE_TRANSPORT, 2, 2),
            Key::CameBy => self.meta(reg, META_IIFNAME),
            Key::GoesBy => self.meta(reg, META_OIFNAME),
        }
        match part {
            Key::Source(family) | Key::Destination(family) => family.registers(),
            Key::CameBy | Key::GoesBy => (libc::IFNAMSIZ / 4) as u32,
            Key::Protocol | Key::Port => 1,
        }
    }

    fn meta(&mut self, reg: u32, key: u32) {
        self.expression("meta", |b| {
            b.attr_be32(1, reg);
            b.attr_be32(2, key);
        });
    }

    fn payload(&mut self, reg: u32, base: u32, offset: u32, len: u32) {
        self.expression("payload", |b| {
            b.attr_be32(1, reg);
            b.attr_be32(2, base);
            b.attr_be32(3, offset);
            b.attr_be32(4, len);
        });
    }

    fn mask(&mut self, mask: &[u8]) {
        self.expression("bitwise", |b| {
            b.attr_be32(1, REG32);
            b.attr_be32(2, REG32);
            b.attr_be32(3, mask.len() as u32);
            b.nest(4, |b| b.attr(DATA_VALUE, mask));
            b.nest(5, |b| b.attr(DATA_VALUE, &vec![0; mask.len()]));
        });
    }

    fn compare(&mut self, op: u32, value: &[u8]) {
        self.expression("cmp", |b| {
            b.attr_be32(1, REG32);
            b.attr_be32(2, op);
            b.nest(3, |b| b.attr(DATA_VALUE, value));
        });
    }

    fn expression(&mut self, name: &str, body: impl FnOnce(&mut Batch)) {
        self.expressions.nest(LIST_ELEM, |b| {
            b.attr_str(EXPR_NAME, name);
            b.nest(EXPR_DATA, body);
        });
    }
}
