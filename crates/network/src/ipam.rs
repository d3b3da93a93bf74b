//! Who has which address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::subnet::Subnet;

/// The addresses of one subnet. The next one given is the first free after the last given, so
/// that an address just freed is not used again at once, while others may still know its owner.
#[derive(Debug)]
pub(crate) struct Ipam {
    subnet: Subnet,
    used: BTreeSet<u32>,
    last: u32,
}

impl Ipam {
    pub(crate) fn new(subnet: Subnet) -> Self {
        let last = u32::from(subnet.network());
        Self {
            subnet,
            used: BTreeSet::new(),
            last,
        }
    }

    /// Whether a container may have it at all.
    pub(crate) fn is_assignable(&self, ip: Ipv4Addr) -> bool {
        let s = self.subnet;
        s.contains(ip) && ip != s.network() && ip != s.broadcast() && ip != s.gateway
    }

    pub(crate) fn next(&mut self) -> Option<Ipv4Addr> {
        let (low, high) = (
            u32::from(self.subnet.network()),
            u32::from(self.subnet.broadcast()),
        );
        let ip = (self.last + 1..high)
            .chain(low + 1..=self.last)
            .map(Ipv4Addr::from)
            .find(|ip| self.is_assignable(*ip) && !self.used.contains(&u32::from(*ip)))?;
        self.last = u32::from(ip);
        self.used.insert(self.last);
        Some(ip)
    }

    /// Marks an address as used; false if it was.
    pub(crate) fn take(&mut self, ip: Ipv4Addr) -> bool {
        self.used.insert(u32::from(ip))
    }

    /// Starts the search for free addresses after the highest in use, as after a restart.
    pub(crate) fn resume(&mut self) {
        let here = self.used.iter().rev().copied();
        let highest = here.map(Ipv4Addr::from).find(|ip| self.is_assignable(*ip));
        self.last = u32::from(highest.unwrap_or(self.subnet.network()));
    }

    pub(crate) fn release(&mut self, ip: Ipv4Addr) {
        self.used.remove(&u32::from(ip));
    }

    pub(crate) fn used(&self) -> usize {
        self.used.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn in_order_and_not_at_once_again() {
        let mut ipam = Ipam::new("10.0.0.1/29".parse().unwrap());
        let ip = |n| Some(Ipv4Addr::new(10, 0, 0, n));
        assert_eq!(ipam.next(), ip(2));
        assert_eq!(ipam.next(), ip(3));
        ipam.release(Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(ipam.next(), ip(4));
        assert_eq!(
            (ipam.next(), ipam.next(), ipam.next()),
            (ip(5), ip(6), ip(2))
        );
        assert_eq!(ipam.next(), None);
        assert_eq!(ipam.used(), 5);
    }

    #[test]
    fn after_a_restart_it_goes_on_after_the_highest() {
        let mut ipam = Ipam::new("10.0.0.1/24".parse().unwrap());
        ipam.take(Ipv4Addr::new(10, 0, 0, 9));
        ipam.take(Ipv4Addr::new(192, 168, 0, 9)); // from an earlier subnet
        ipam.resume();
        assert_eq!(ipam.next(), Some(Ipv4Addr::new(10, 0, 0, 10)));
    }

    proptest! {
        #[test]
        fn never_two_owners(prefix in 24_u8..=30, steps in prop::collection::vec(any::<u8>(), 0..300)) {
            let subnet = Subnet { gateway: Ipv4Addr::new(10, 0, 0, 1), prefix };
            let mut ipam = Ipam::new(subnet);
            let mut owned: Vec<Ipv4Addr> = Vec::new();
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
