//! Rules: a row of expressions, each one attribute nest.

use std::net::Ipv4Addr;

use super::{DATA_VALUE, DATA_VERDICT, LIST_ELEM};
use crate::netlink::Batch;

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
    /// The IPv4 destination address.
    Destination,
    /// The transport protocol's destination port.
    Port,
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
        let mut name = [0; libc::IFNAMSIZ];
        let len = link.len().min(libc::IFNAMSIZ - 1);
        name[..len].copy_from_slice(&link.as_bytes()[..len]);
        self.meta(REG32, key);
        self.compare(if same { CMP_EQ } else { CMP_NEQ }, &name);
        self
    }

    /// The packet's source address lies in this subnet.
    #[must_use]
    pub fn from_subnet(self, ip: Ipv4Addr, prefix: u8) -> Self {
        self.subnet(12, ip, prefix)
    }

    /// The packet's destination address lies in this subnet.
    #[must_use]
    pub fn to_subnet(self, ip: Ipv4Addr, prefix: u8) -> Self {
        self.subnet(16, ip, prefix)
    }

    fn subnet(mut self, offset: u32, ip: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        self.payload(REG32, BASE_NETWORK, offset, 4);
        self.mask(mask.to_be_bytes());
        self.compare(CMP_EQ, &(u32::from(ip) & mask).to_be_bytes());
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
        self.mask(bits.to_ne_bytes());
        self.compare(CMP_NEQ, &[0; 4]);
        self
    }

    /// The packet is ICMP of this type.
    #[must_use]
    pub fn icmp(mut self, kind: u8) -> Self {
        self.meta(REG32, META_L4PROTO);
        self.compare(CMP_EQ, &[libc::IPPROTO_ICMP as u8]);
        self.payload(REG32, BASE_TRANSPORT, 0, 1);
        self.compare(CMP_EQ, &[kind]);
        self
    }

    /// Translates the destination to the address and port that `map` holds for the packet.
    #[must_use]
    pub fn translate_by(mut self, map: &str, key: &[Key]) -> Self {
        for (reg, part) in (REG32..).zip(key) {
            match part {
                Key::Protocol => self.meta(reg, META_L4PROTO),
                Key::Destination => self.payload(reg, BASE_NETWORK, 16, 4),
                Key::Port => self.payload(reg, BASE_TRANSPORT, 2, 2),
            }
        }
        self.expression("lookup", |b| {
            b.attr_str(1, map);
            b.attr_be32(2, REG32);
            b.attr_be32(3, REG32);
        });
        self.expression("nat", |b| {
            b.attr_be32(1, 1); // the destination
            b.attr_be32(2, libc::AF_INET as u32);
            b.attr_be32(3, REG32);
            b.attr_be32(5, REG32 + 1);
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
        let (code, chain) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3, Some(chain)),
        };
        self.expression("immediate", |b| {
            b.attr_be32(1, REG_VERDICT);
            b.nest(2, |b| {
                b.nest(DATA_VERDICT, |b| {
                    b.attr_be32(1, code as u32);
                    if let Some(chain) = chain {
                        b.attr_str(2, chain);
                    }
                });
            });
        });
        self
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

    fn mask(&mut self, mask: [u8; 4]) {
        self.expression("bitwise", |b| {
            b.attr_be32(1, REG32);
            b.attr_be32(2, REG32);
            b.attr_be32(3, 4);
            b.nest(4, |b| b.attr(DATA_VALUE, &mask));
            b.nest(5, |b| b.attr(DATA_VALUE, &[0; 4]));
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
