//! Subnets with the address of their way out, and pools that they are taken from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// How many subnets of a pool are tried at most.
const CANDIDATES: u128 = 1 << 16;

/// A subnet as `--bip` gives it: an address in it, as a rule the bridge's, and the prefix's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The bridge's address.
    pub gateway: IpAddr,
    /// The length of the prefix.
    pub prefix: u8,
}

/// An address as a number.
pub(crate) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

/// How many bits addresses of this kind have.
fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl Subnet {
    /// The address with this number, of the subnet's family.
    pub(crate) fn address(self, number: u128) -> IpAddr {
        match self.gateway {
            // Numbers of IPv4 subnets have no more bits.
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }

    /// The bits that tell its addresses apart.
    fn host_mask(self) -> u128 {
        let own = u32::from(bits(self.gateway).saturating_sub(self.prefix));
        1_u128.checked_shl(own).map_or(u128::MAX, |n| n - 1)
    }

    /// Whether links can have its addresses at all.
    #[must_use]
    pub fn is_possible(self) -> bool {
        let mapped = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
        let broadcast = |ip: IpAddr| matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        let (first, last) = (self.network(), self.last());
        is_possible(first) && is_possible(last) && !mapped(first) && !broadcast(last)
    }

    /// Whether an address is the subnet's own, or the one that means all of it.
    #[must_use]
    pub fn is_own(self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(_) if self.prefix >= 31 => false,
            IpAddr::V4(_) => ip == self.network() || ip == self.last(),
            IpAddr::V6(_) => self.prefix < 127 && ip == self.network(),
        }
    }

    /// Whether it is one of IPv4.
    #[must_use]
    pub fn is_ipv4(self) -> bool {
        self.gateway.is_ipv4()
    }

    /// Its first address, which names it.
    #[must_use]
    pub fn network(self) -> IpAddr {
        self.address(number(self.gateway) & !self.host_mask())
    }

    /// Its last address; in IPv4 the one for broadcasts.
    #[must_use]
    pub fn last(self) -> IpAddr {
        self.address(number(self.gateway) | self.host_mask())
    }

    /// The address that is the gateway where none is given: the first that a host may have.
    #[must_use]
    pub fn first_host(self) -> IpAddr {
        let network = number(self.network());
        let alone = self.host_mask() == 0;
        self.address(network + u128::from(!alone))
    }

    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.is_ipv4() && number(ip) & !self.host_mask() == number(self.network())
    }

    /// Whether any address lies in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network()) || other.contains(self.network())
    }

    /// Reads `address/prefix`, whatever it may be good for.
    ///
    /// # Errors
    /// Why it is none, in words that go on after the text itself.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (ip, prefix) = text.split_once('/').ok_or("it has no prefix length")?;
        let gateway: IpAddr = ip.parse().map_err(|_| "no IP address")?;
        let plain = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: Option<u8> = prefix.parse().ok().filter(|p| plain && *p <= bits(gateway));
        let prefix = prefix.ok_or("no prefix length")?;
        Ok(Self { gateway, prefix })
    }

    /// Where a network without a subnet of its own may go, in order of preference.
    pub(crate) fn candidates() -> impl Iterator<Item = Self> {
        let wide = (17..=31).map(|b| Self {
            gateway: Ipv4Addr::new(172, b, 0, 1).into(),
            prefix: 16,
        });
        let narrow = (0..=240).step_by(16).map(|c| Self {
            gateway: Ipv4Addr::new(192, 168, c, 1).into(),
            prefix: 20,
        });
        wide.chain(narrow)
    }

    /// A local IPv6 subnet (RFC 4193) for the network with this random identifier.
    #[must_use]
    pub fn unique_local(random: u64) -> Self {
        let base = 0xfd_u128 << 120 | u128::from(random & 0x00ff_ffff_ffff_ffff) << 64;
        Self {
            gateway: Ipv6Addr::from(base | 1).into(),
            prefix: 64,
        }
    }
}

/// Where networks without an address of their own may go: subnets of one size out of a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    base: Subnet,
    size: u8,
}

impl Pool {
    /// The subnets with prefixes of `size` bits in `base`, such as `10.1.0.0/16`.
    ///
    /// # Errors
    /// What makes no sense, as a sentence.
    pub fn new(base: &str, size: u8) -> Result<Self, String> {
        let wrong = |why: &str| format!("invalid address pool {base:?} with size {size}: {why}");
        let parsed = Subnet::parse(base).map_err(wrong)?;
        let most = if parsed.is_ipv4() { 30 } else { 126 };
        if !(8..=most).contains(&parsed.prefix) || !(parsed.prefix..=most).contains(&size) {
            return Err(wrong(&format!(
                "base and size must be from 8 to {most}, and size not smaller than the base's length"
            )));
        }
        if !is_possible(parsed.gateway) {
            return Err(wrong("no link can have such an address"));
        }
        Ok(Self { base: parsed, size })
    }

    /// Whether its subnets are of IPv4.
    pub(crate) fn is_ipv4(self) -> bool {
        self.base.is_ipv4()
    }

    /// Its subnets in order, each with its first address as the bridge's.
    pub(crate) fn candidates(self) -> impl Iterator<Item = Subnet> {
        let first = number(self.base.network());
        let step = 1_u128 << (bits(self.base.gateway) - self.size);
        let count = 1_u128
            .checked_shl(u32::from(self.size - self.base.prefix))
            .map_or(CANDIDATES, |n| n.min(CANDIDATES));
        (0..count).map(move |n| Subnet {
            gateway: self.base.address(first + n * step + 1),
            prefix: self.size,
        })
    }
}

/// Whether a link could have it.
fn is_possible(ip: IpAddr) -> bool {
    !(ip.is_loopback() || ip.is_multicast() || ip.is_unspecified())
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("'{s}' is not a bridge address ({why}); expected one such as 172.20.0.1/16")
        };
        let subnet = Self::parse(s).map_err(wrong)?;
        // Beyond it there is no room for a container beside the bridge.
        let most = if subnet.is_ipv4() { 30 } else { 126 };
        if !(8..=most).contains(&subnet.prefix) {
            return Err(wrong(&format!(
                "the prefix length must be from 8 to {most}"
            )));
        }
        let last = subnet.is_ipv4() && subnet.gateway == subnet.last();
        if subnet.gateway == subnet.network() || last {
            return Err(wrong("that is the subnet's own or its broadcast address"));
        }
        if !is_possible(subnet.gateway) {
            return Err(wrong("no link can have it"));
        }
        Ok(subnet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets() {
        let s: Subnet = "172.20.3.1/22".parse().unwrap();
        assert_eq!(s.to_string(), "172.20.0.0/22");
        assert_eq!(s.last(), Ipv4Addr::new(172, 20, 3, 255));
        assert_eq!(s.first_host(), Ipv4Addr::new(172, 20, 0, 1));
        assert!(s.overlaps("172.20.0.1/16".parse().unwrap()));
        assert!(!s.overlaps("172.20.4.1/22".parse().unwrap()));
        for bad in [
            "",
            "1.2.3.4",
            "1.2.3.4/31",
            "1.2.3.0/24",
            "1.2.3.255/24",
            "x/24",
            "127.0.0.1/8",
            "1.2.3.4/+24",
            "fd00::1/127",
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn subnets_of_ipv6() {
        let s: Subnet = "fd00:1::9/64".parse().unwrap();
        assert_eq!(s.to_string(), "fd00:1::/64");
        assert_eq!(s.last().to_string(), "fd00:1::ffff:ffff:ffff:ffff");
        assert!(!s.contains("10.0.0.1".parse().unwrap()));
        assert!(s.contains("fd00:1::2".parse().unwrap()));
        assert!(Subnet::parse("::/0").unwrap().overlaps(s));
        let own = Subnet::unique_local(0x1234_5678_9abc_def0);
        assert_eq!(own.to_string(), "fd34:5678:9abc:def0::/64");
        assert_eq!(own.gateway.to_string(), "fd34:5678:9abc:def0::1");
    }

    #[test]
    fn pools() {
        let all: Vec<String> = Pool::new("10.1.0.0/22", 24)
            .unwrap()
            .candidates()
            .map(|s| format!("{} in {s}", s.gateway))
            .collect();
        assert_eq!(all.len(), 4);
        assert_eq!(all[3], "10.1.3.1 in 10.1.3.0/24");
        let last = Pool::new("255.255.0.0/16", 30).unwrap().candidates().last();
        assert_eq!(last.unwrap().last(), Ipv4Addr::BROADCAST);
        let six = Pool::new("fd00::/40", 64).unwrap().candidates().nth(2);
        assert_eq!(six.unwrap().to_string(), "fd00:0:0:2::/64");
        for (base, size) in [
            ("10.0.0.0", 24),
            ("10.0.0.0/16", 15),
            ("10.0.0.0/16", 31),
            ("10.0.0.0/7", 24),
            ("fd00::/64", 127),
            ("127.0.0.0/8", 24),
        ] {
            assert!(Pool::new(base, size).is_err(), "{base} {size}");
        }
    }

    #[test]
    fn candidates_do_not_overlap() {
        let all: Vec<_> = Subnet::candidates().collect();
        assert_eq!(all.len(), 15 + 16);
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| !a.overlaps(*b)));
        }
    }
}
