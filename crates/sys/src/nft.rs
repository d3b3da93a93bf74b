//! nftables spoken directly: transactions of our own making and a look at other people's chains.
//!
//! A [`Transaction`] is one netlink batch: the kernel applies all of it or nothing, and packets
//! see either the old or the new. Only what the network crate's tables need is modelled.

mod legacy;
mod list;
mod monitor;
mod rule;
mod transaction;

pub use legacy::{Legacy, legacy_forward};
pub use list::{Chain, Entry, Found, Outcome, base_chains, elements, has_table, rules};
pub use monitor::{Heard, Monitor, Own, TICK};
pub use rule::{Fib, Key, PortOf, Rule, Status, Transport, Verdict, link_key};
pub use transaction::{Base, Data, Hook, Map, Span, Transaction};

const SUBSYSTEM: u16 = 10;
const LIST_ELEM: u16 = 1;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

/// The kind of packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// IPv4.
    Ip = 2,
    /// IPv6.
    Ip6 = 10,
}

impl Family {
    /// The word `nft` uses for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        }
    }

    /// The family of an address.
    #[must_use]
    pub fn of(ip: std::net::IpAddr) -> Self {
        if ip.is_ipv4() { Self::Ip } else { Self::Ip6 }
    }

    /// The kernel's number of its addresses' family.
    fn number(self) -> u32 {
        (match self {
            Self::Ip6 => libc::AF_INET6,
            Self::Ip | Self::Inet => libc::AF_INET,
        }) as u32
    }

    /// How many registers of four bytes an address takes.
    fn registers(self) -> u32 {
        if self == Self::Ip6 { 4 } else { 1 }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Inet, Self::Ip, Self::Ip6]
            .into_iter()
            .find(|f| *f as u8 == number)
    }
}

const fn message(kind: u16) -> u16 {
    SUBSYSTEM << 8 | kind
}
