//! Who has which address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::definition::AddressSpace;
use crate::subnet::{Subnet, number};

/// The addresses of one subnet. The next one given is the first free after the last given, so
/// that an address just freed is not used again at once, while others may still know its owner.
#[derive(Debug)]
pub(crate) struct Ipam {
    space: AddressSpace,
    used: BTreeSet<u128>,
    last: u128,
}

impl Ipam {
    pub(crate) fn new(space: AddressSpace) -> Self {
        let last = number(space.range.unwrap_or(space.subnet).network());
        Self {
            space,
            used: BTreeSet::new(),
            last,
        }
    }

    pub(crate) fn space(&self) -> &AddressSpace {
        &self.space
    }

    fn subnet(&self) -> Subnet {
        self.space.subnet
    }

    /// Whether a container may have it at all.
    pub(crate) fn is_assignable(&self, ip: IpAddr) -> bool {
        let s = self.subnet();
        // In the smallest subnets every address is a host's.
        let small = s.is_ipv4() && s.prefix >= 31 || s.prefix == 127;
        let special = ip == s.network() || s.is_ipv4() && ip == s.last();
        s.contains(ip)
            && (small || !special)
            && self.space.gateway != Some(ip)
            && self.space.router != Some(ip)
            && !self.space.reserved.contains(&ip)
    }

    /// Who, other than a container, has an address.
    pub(crate) fn owner(&self, ip: IpAddr) -> Option<&'static str> {
        let space = &self.space;
        let of_the_bridge = space.router.is_some() && space.router != space.gateway;
        if space.gateway == Some(ip) {
            Some(if of_the_bridge {
                "its bridge"
            } else {
                "its gateway"
            })
        } else if space.router == Some(ip) {
            Some("its gateway")
        } else if space.reserved.contains(&ip) {
            Some("one of its auxiliary addresses")
        } else {
            None
        }
    }

    pub(crate) fn next(&mut self) -> Option<IpAddr> {
        let range = self.space.range.unwrap_or(self.subnet());
        let (low, high) = (number(range.network()), number(range.last()));
        let after = self.last.max(low).checked_add(1);
        let after = after.filter(|n| *n <= high).unwrap_or(low);
        let number = (after..=high)
            .chain(low..after)
            .filter(|n| !self.used.contains(n))
            .find(|n| self.is_assignable(range.address(*n)))?;
        self.last = number;
        self.used.insert(number);
        Some(range.address(number))
    }

    /// Marks an address as used; false if it was.
    pub(crate) fn take(&mut self, ip: IpAddr) -> bool {
        self.used.insert(number(ip))
    }

    /// Starts the search for free addresses after the highest in use, as after a restart.
    pub(crate) fn resume(&mut self) {
        let subnet = self.subnet();
        let range = self.space.range.unwrap_or(subnet);
        let here = self.used.iter().rev().map(|n| subnet.address(*n));
        let highest = here
            .filter(|ip| range.contains(*ip))
            .find(|ip| self.is_assignable(*ip));
        self.last = number(highest.unwrap_or(range.network()));
    }

    pub(crate) fn release(&mut self, ip: IpAddr) {
        if self.subnet().contains(ip) {
            self.used.remove(&number(ip));
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn of(subnet: &str) -> Ipam {
        Ipam::new(AddressSpace::of(subnet.parse().unwrap()))
    }

    #[test]
    fn in_order_and_not_at_once_again() {
        let mut ipam = of("10.0.0.1/29");
        let ip = |n| Some(IpAddr::from([10, 0, 0, n]));
        assert_eq!(ipam.next(), ip(2));
        assert_eq!(ipam.next(), ip(3));
        ipam.release(ip(2).unwrap());
        assert_eq!(ipam.next(), ip(4));
        assert_eq!(
            (ipam.next(), ipam.next(), ipam.next()),
            (ip(5), ip(6), ip(2))
        );
        assert_eq!(ipam.next(), None);
        assert_eq!(ipam.used(), 5);
    }

    #[test]
    fn ranges_and_reserved_addresses() {
        let mut space = AddressSpace::of("10.0.0.1/24".parse().unwrap());
        space.range = Some(Subnet::parse("10.0.0.64/30").unwrap());
        space.reserved = vec!["10.0.0.65".parse().unwrap()];
        let mut ipam = Ipam::new(space);
        let given: Vec<String> = std::iter::from_fn(|| ipam.next())
            .map(|ip| ip.to_string())
            .collect();
        assert_eq!(given, ["10.0.0.66", "10.0.0.67", "10.0.0.64"]);
        // Outside of the range by request alone.
        assert!(ipam.is_assignable("10.0.0.200".parse().unwrap()));
        assert!(!ipam.is_assignable("10.0.0.65".parse().unwrap()));
    }

    #[test]
    fn ipv6() {
        let mut ipam = of("fd00::1/64");
        assert_eq!(ipam.next(), Some("fd00::2".parse().unwrap()));
        assert!(ipam.is_assignable("fd00::ffff:ffff:ffff:ffff".parse().unwrap()));
        assert!(!ipam.is_assignable("fd00::".parse().unwrap()));
    }

    #[test]
    fn after_a_restart_it_goes_on_after_the_highest() {
        let mut ipam = of("10.0.0.1/24");
        ipam.take("10.0.0.9".parse().unwrap());
        ipam.take("192.168.0.9".parse().unwrap()); // from an earlier subnet
        ipam.resume();
        assert_eq!(ipam.next(), Some("10.0.0.10".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn never_two_owners(prefix in 24_u8..=30, steps in prop::collection::vec(any::<u8>(), 0..300)) {
            let subnet = Subnet { gateway: Ipv4Addr::new(10, 0, 0, 1).into(), prefix };
            let mut ipam = Ipam::new(AddressSpace::of(subnet));
            let mut owned: Vec<IpAddr> = Vec::new();
            for step in steps {
                if step % 3 == 0 && !owned.is_empty() {
                    let ip = owned.swap_remove(usize::from(step) % owned.len());
                    ipam.release(ip);
                } else if let Some(ip) = ipam.next() {
                    prop_assert!(ipam.is_assignable(ip));
                    owned.push(ip);
                } else {
                    prop_assert_eq!(owned.len(), (1 << (32 - prefix)) - 3);
                }
                let distinct: HashSet<_> = owned.iter().collect();
                prop_assert_eq!(distinct.len(), owned.len());
            }
        }
    }
}
