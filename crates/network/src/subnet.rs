//! An IPv4 subnet with the bridge's address in it.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A subnet as `--bip` gives it: the bridge's address and the prefix's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// The length of the prefix.
    pub prefix: u8,
}

impl Subnet {
    fn mask(self) -> u32 {
        u32::MAX
            .checked_shl(32 - u32::from(self.prefix))
            .unwrap_or(0)
    }

    /// Its first address, which names it.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.gateway) & self.mask())
    }

    /// Its last address.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.gateway) | !self.mask())
    }

    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(self, ip: Ipv4Addr) -> bool {
        u32::from(ip) & self.mask() == u32::from(self.network())
    }

    /// Whether any address lies in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network()) || other.contains(self.network())
    }

    /// Where a network without `--bip` may go, in order of preference.
    pub(crate) fn candidates() -> impl Iterator<Item = Self> {
        let wide = (17..=31).map(|b| Self {
            gateway: Ipv4Addr::new(172, b, 0, 1),
            prefix: 16,
        });
        let narrow = (0..=240).step_by(16).map(|c| Self {
            gateway: Ipv4Addr::new(192, 168, c, 1),
            prefix: 20,
        });
        wide.chain(narrow)
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
        let (ip, prefix) = base
            .split_once('/')
            .ok_or_else(|| wrong("the base has no prefix length"))?;
        let gateway: Ipv4Addr = ip.parse().map_err(|_| wrong("the base is not IPv4"))?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong("no prefix length"))?;
        if !(8..=30).contains(&prefix) || !(prefix..=30).contains(&size) {
            return Err(wrong(
                "base and size must be from 8 to 30, and size not smaller than the base's length",
            ));
        }
        let base = Subnet { gateway, prefix };
        if gateway.is_loopback() || gateway.is_multicast() || gateway.is_unspecified() {
            return Err(wrong("no link can have such an address"));
        }
        Ok(Self { base, size })
    }

    /// Its subnets in order, each with its first address as the bridge's.
    pub(crate) fn candidates(self) -> impl Iterator<Item = Subnet> {
        let first = u32::from(self.base.network());
        let step = 1_u32 << (32 - self.size);
        (0..1_u32 << (self.size - self.base.prefix)).map(move |n| Subnet {
            gateway: Ipv4Addr::from(first + n * step + 1),
            prefix: self.size,
        })
    }
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
        let (ip, prefix) = s
            .split_once('/')
            .ok_or_else(|| wrong("it has no prefix length"))?;
        let gateway: Ipv4Addr = ip.parse().map_err(|_| wrong("no IPv4 address"))?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong("no prefix length"))?;
        // Beyond /30 there is no room for a container beside the bridge.
        if !(8..=30).contains(&prefix) {
            return Err(wrong("the prefix length must be from 8 to 30"));
        }
        let subnet = Self { gateway, prefix };
        if gateway == subnet.network() || gateway == subnet.broadcast() {
            return Err(wrong("that is the subnet's own or its broadcast address"));
        }
        if gateway.is_loopback() || gateway.is_multicast() || gateway.is_unspecified() {
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
        assert_eq!(s.broadcast(), Ipv4Addr::new(172, 20, 3, 255));
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
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
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
        let last = Pool::new("255.0.0.0/8", 30).unwrap().candidates().last();
        assert_eq!(last.unwrap().broadcast(), Ipv4Addr::BROADCAST);
        for (base, size) in [
            ("10.0.0.0", 24),
            ("10.0.0.0/16", 15),
            ("10.0.0.0/16", 31),
            ("10.0.0.0/7", 24),
            ("2001:db8::/64", 80),
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
