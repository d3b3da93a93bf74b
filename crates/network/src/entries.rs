//! A container's published ports as entries of the maps.
//!
//! Neighbouring ports that lead to ports of the same numbers are one entry together: the destination's
//! address is all that changes, however many there are. (The kernel's NAT could shift ports by a
//! constant, but nftables does not let it.) Such a map is copied by the kernel at each change, so ports
//! that are alone stay in the others.

use std::net::IpAddr;

use sys::netlink::octets;
use sys::nft::{Entry, Span, Transaction};

use crate::endpoint::{Published, PublishedPort};
use crate::firewall::{ANY, ONE, OPEN, RANGES};

/// Entries of the maps of one family.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    any: Vec<Entry>,
    one: Vec<Entry>,
    ranges: Vec<Span>,
    open: Vec<Span>,
}

/// Which ports have one entry together: protocol, address, and the first and the last of the ports.
type Run = (u8, IpAddr, u16, u16);

impl Entries {
    pub(crate) fn of(ipv4: bool, published: &Published) -> Self {
        let mut entries = Self::default();
        let Some(ip) = published.target.address(ipv4) else {
            return entries;
        };
        let ours = published.ports.iter();
        let ours = ours.filter(|p| p.host_ip.is_ipv4() == ipv4 && p.is_translated());
        if published.target.routed[usize::from(!ipv4)] {
            let open = ours.map(|p| (p.proto.number(), ip, p.container_port));
            let spans = runs(open.collect()).into_iter();
            entries.open = spans.map(|run| span(run, run.1, Vec::new())).collect();
            return entries;
        }
        let (same, shifted): (Vec<_>, Vec<_>) = ours.partition(|p| p.host_port == p.container_port);
        shifted.iter().for_each(|p| entries.add(p, ip));
        let same = same
            .iter()
            .map(|p| (p.proto.number(), p.host_ip, p.host_port));
        for run in runs(same.collect()) {
            let (proto, on, first, last) = run;
            if first == last {
                entries.add_single(proto, on, first, target(ip, first));
            } else {
                let last = if on.is_unspecified() { all(on) } else { on };
                entries.ranges.push(span(run, last, octets(ip)));
            }
        }
        entries
    }

    fn add(&mut self, port: &PublishedPort, ip: IpAddr) {
        let value = target(ip, port.container_port);
        self.add_single(port.proto.number(), port.host_ip, port.host_port, value);
    }

    fn add_single(&mut self, proto: u8, on: IpAddr, port: u16, value: Vec<u8>) {
        if on.is_unspecified() {
            self.any.push((key(proto, None, port), value));
        } else {
            self.one.push((key(proto, Some(on), port), value));
        }
    }

    pub(crate) fn add_to(&self, t: &mut Transaction<'_>) {
        t.add_elements(ANY, &self.any);
        t.add_elements(ONE, &self.one);
        t.add_spans(RANGES, &self.ranges);
        t.add_spans(OPEN, &self.open);
    }

    pub(crate) fn delete_from(&self, t: &mut Transaction<'_>) {
        for (map, entries) in [(ANY, &self.any), (ONE, &self.one)] {
            let keys: Vec<_> = entries.iter().map(|(k, _)| k.clone()).collect();
            t.delete_elements(map, &keys);
        }
        t.delete_spans(RANGES, &self.ranges);
        t.delete_spans(OPEN, &self.open);
    }

    /// Each entry alone.
    pub(crate) fn split(self) -> impl Iterator<Item = Self> {
        let Self {
            any,
            one,
            ranges,
            open,
        } = self;
        let any = any.into_iter().map(|e| Self {
            any: vec![e],
            ..Self::default()
        });
        let one = one.into_iter().map(|e| Self {
            one: vec![e],
            ..Self::default()
        });
        let ranges = ranges.into_iter().map(|e| Self {
            ranges: vec![e],
            ..Self::default()
        });
        let open = open.into_iter().map(|e| Self {
            open: vec![e],
            ..Self::default()
        });
        any.chain(one).chain(ranges).chain(open)
    }
}

/// Neighbouring ports together; one that is there twice is once in it.
fn runs(mut ports: Vec<(u8, IpAddr, u16)>) -> Vec<Run> {
    ports.sort_unstable();
    let mut runs: Vec<Run> = Vec::new();
    for (proto, ip, port) in ports {
        match runs.last_mut() {
            Some(last) if (last.0, last.1) == (proto, ip) && port - last.3 <= 1 => last.3 = port,
            _ => runs.push((proto, ip, port, port)),
        }
    }
    runs
}

fn span((proto, ip, first, last): Run, last_ip: IpAddr, value: Vec<u8>) -> Span {
    Span {
        first: key(proto, Some(ip), first),
        last: key(proto, Some(last_ip), last),
        value,
    }
}

/// The last address of the family.
fn all(of: IpAddr) -> IpAddr {
    match of {
        IpAddr::V4(_) => [0xff; 4].into(),
        IpAddr::V6(_) => [0xff; 16].into(),
    }
}

/// Each part of a key or value is padded to registers of four bytes.
fn key(proto: u8, ip: Option<IpAddr>, port: u16) -> Vec<u8> {
    let mut key = vec![proto, 0, 0, 0];
    if let Some(ip) = ip {
        key.extend(octets(ip));
    }
    key.extend_from_slice(&port.to_be_bytes());
    key.extend_from_slice(&[0, 0]);
    key
}

fn target(ip: IpAddr, port: u16) -> Vec<u8> {
    let mut value = octets(ip);
    value.extend_from_slice(&port.to_be_bytes());
    value.extend_from_slice(&[0, 0]);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{Proto, Target};

    fn published(ports: &[(&str, u16, u16)], routed: bool) -> Published {
        let port = |(ip, host_port, container_port): &(&str, u16, u16)| PublishedPort {
            proto: Proto::Tcp,
            host_ip: ip.parse().unwrap(),
            host_port: *host_port,
            container_port: *container_port,
        };
        Published {
            ports: ports.iter().map(port).collect(),
            target: Target {
                ip: Some([172, 17, 0, 2].into()),
                ip6: None,
                routed: [routed; 2],
            },
        }
    }

    #[test]
    fn neighbours_are_one_entry() {
        let mut ports: Vec<_> = (8000..9000).map(|p| ("0.0.0.0", p, p)).collect();
        ports.extend([
            ("0.0.0.0", 9001, 9001),
            ("0.0.0.0", 9100, 80),
            ("0.0.0.0", 9101, 81),
            ("10.0.0.1", 9200, 9200),
            ("10.0.0.1", 9201, 9201),
            ("::", 8000, 8000),
        ]);
        ports.reverse();
        let entries = Entries::of(true, &published(&ports, false));
        let (any, one) = (entries.any.len(), entries.one.len());
        assert_eq!((any, one, entries.ranges.len()), (3, 0, 2));
        let whole = &entries.ranges[0];
        assert_eq!(whole.first, [6, 0, 0, 0, 0, 0, 0, 0, 0x1f, 0x40, 0, 0]);
        assert_eq!(
            whole.last,
            [6, 0, 0, 0, 255, 255, 255, 255, 0x23, 0x27, 0, 0]
        );
        assert_eq!(whole.value, [172, 17, 0, 2]);
        let on_one = &entries.ranges[1];
        assert_eq!(on_one.first[4..8], [10, 0, 0, 1]);
        assert_eq!(on_one.last[4..8], [10, 0, 0, 1]);
        assert_eq!(entries.split().count(), 5);
        let none = Entries::of(false, &published(&ports, false));
        assert_eq!(none, Entries::default());
    }

    #[test]
    fn without_translation_the_containers_ports_are_open() {
        let ports = [
            ("0.0.0.0", 0, 80),
            ("0.0.0.0", 0, 81),
            ("0.0.0.0", 0, 80),
            ("0.0.0.0", 0, 90),
        ];
        let entries = Entries::of(true, &published(&ports, true));
        assert_eq!(entries.open.len(), 2);
        assert_eq!(entries.open[0].first[8..10], [0, 80]);
        assert_eq!(entries.open[0].last[8..10], [0, 81]);
        assert_eq!(entries.open[0].last[4..8], [172, 17, 0, 2]);
    }

    #[test]
    fn the_last_port_of_all_ends_a_run() {
        let ports = [("0.0.0.0", 65534, 65534), ("0.0.0.0", 65535, 65535)];
        let entries = Entries::of(true, &published(&ports, false));
        assert_eq!(entries.ranges[0].last[8..10], [0xff, 0xff]);
    }
}
