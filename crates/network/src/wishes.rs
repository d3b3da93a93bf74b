//! What the ports that a container asks for come to, by the ways that lead to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::endpoint::{PortRequest, Proto, PublishedPort};
use crate::error::{Error, Result};

/// How published ports reach a container in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Whether ports of the host's stand for the container's. Otherwise the host has no part in it: the
    /// container's own ports are open.
    pub translated: bool,
    /// Where ports are published that name no address: on all of this family if it is all zeros of
    /// IPv4 (or of this family), not in this family if it is of the other.
    pub default: IpAddr,
}

impl Way {
    /// Translated, and on all addresses.
    pub const ANY: Self = Self {
        translated: true,
        default: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };

    /// The host's address for a port in this family, if it is published there.
    fn host_ip(self, ipv4: bool, asked: Option<IpAddr>) -> Option<IpAddr> {
        let all = if ipv4 {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let ip = match asked {
            Some(ip) => ip,
            None if self.default == IpAddr::V4(Ipv4Addr::UNSPECIFIED) => all,
            None => self.default,
        };
        let ours = ip.is_ipv4() == ipv4;
        ours.then_some(if self.translated { ip } else { all })
    }
}

/// The ways to a container, in IPv4 and in IPv6, where there are any.
pub type Ways = [Option<Way>; 2];

/// A port that is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) proto: Proto,
    pub(crate) container_port: u16,
    /// The host's port, or any of these, or one of the kernel's choice for `0..=0`: the same on all
    /// addresses.
    pub(crate) host_port: RangeInclusive<u16>,
    /// Addresses of the host's to publish it on.
    pub(crate) bound: Vec<IpAddr>,
    /// Families (all zeros) in which it is open at the container's own address.
    pub(crate) open: Vec<IpAddr>,
}

impl Wish {
    fn of(request: &PortRequest, ways: &Ways) -> Result<Self> {
        let PortRequest {
            proto,
            host_ip,
            host_port,
            container_port,
        } = request.clone();
        if container_port == 0 {
            return Err(Error::BadPort(format!("container port 0/{proto}")));
        }
        if let Some(IpAddr::V6(ip)) = host_ip
            && ip.is_loopback()
            && proto == Proto::Sctp
        {
            return Err(Error::LoopbackPublish(ip));
        }
        let host_port = match host_port {
            None => 0..=0,
            Some(range) if *range.start() == 0 || range.is_empty() => {
                let (first, last) = range.into_inner();
                let text = format!("host port {first}-{last}/{proto}");
                return Err(Error::BadPort(text));
            }
            Some(range) => range,
        };
        let mut wish = Self {
            proto,
            container_port,
            host_port,
            bound: Vec::new(),
            open: Vec::new(),
        };
        for (ipv4, way) in [true, false].into_iter().zip(ways) {
            let Some(way) = way else { continue };
            if let Some(ip) = way.host_ip(ipv4, host_ip) {
                let list = if way.translated {
                    &mut wish.bound
                } else {
                    &mut wish.open
                };
                list.push(ip);
            }
        }
        Ok(wish)
    }

    /// A port as it was before.
    pub(crate) fn exactly(port: PublishedPort) -> Self {
        let (mut bound, mut open) = (Vec::new(), Vec::new());
        if port.host_port == 0 {
            open.push(port.host_ip);
        } else {
            bound.push(port.host_ip);
        }
        Self {
            proto: port.proto,
            container_port: port.container_port,
            host_port: port.host_port..=port.host_port,
            bound,
            open,
        }
    }

    /// A port of this wish on an address, with the host's number.
    pub(crate) fn port(&self, host_ip: IpAddr, host_port: u16) -> PublishedPort {
        PublishedPort {
            proto: self.proto,
            host_ip,
            host_port,
            container_port: self.container_port,
        }
    }

    /// Whether a port that is there is one of this wish's, on this address.
    fn is(&self, port: &PublishedPort, ip: IpAddr) -> bool {
        let any = *self.host_port.end() == 0;
        (port.proto, port.container_port, port.host_ip) == (self.proto, self.container_port, ip)
            && port.host_port != 0
            && (any || self.host_port.contains(&port.host_port))
    }
}

/// From the ports that a container has to those that it should have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What stays.
    pub(crate) kept: Vec<PublishedPort>,
    /// What is given up.
    pub(crate) gone: Vec<PublishedPort>,
    /// What is not there yet.
    pub(crate) missing: Vec<Wish>,
}

impl Plan {
    /// # Errors
    /// When a port means nothing.
    pub(crate) fn new(has: &[PublishedPort], asked: &[PortRequest], ways: &Ways) -> Result<Self> {
        let mut plan = Self {
            gone: has.to_vec(),
            ..Self::default()
        };
        for request in asked {
            let mut wish = Wish::of(request, ways)?;
            let mut open = std::mem::take(&mut wish.open);
            open.retain(|ip| !plan.keep(|p| p.host_port == 0 && *p == wish.port(*ip, 0)));
            wish.open = open;
            let mut bound = std::mem::take(&mut wish.bound);
            bound.retain(|ip| {
                let kept = plan.keep(|p| wish.is(p, *ip));
                if let Some(port) = plan.kept.last().filter(|_| kept) {
                    // Where it is published anew it has the same number.
                    wish.host_port = port.host_port..=port.host_port;
                }
                !kept
            });
            wish.bound = bound;
            if !wish.bound.is_empty() || !wish.open.is_empty() {
                plan.missing.push(wish);
            }
        }
        Ok(plan)
    }

    fn keep(&mut self, is: impl Fn(&PublishedPort) -> bool) -> bool {
        let Some(at) = self.gone.iter().position(is) else {
            return false;
        };
        self.kept.push(self.gone.remove(at));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    const ROUTED: Way = Way {
        translated: false,
        ..Way::ANY
    };

    fn ask(ip: Option<&str>, host: Option<RangeInclusive<u16>>) -> PortRequest {
        PortRequest {
            proto: Proto::Tcp,
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host_port: host,
            container_port: 80,
        }
    }

    fn port(host_ip: IpAddr, host_port: u16) -> PublishedPort {
        PublishedPort {
            proto: Proto::Tcp,
            host_ip,
            host_port,
            container_port: 80,
        }
    }

    fn on(ways: Ways, ip: Option<&str>) -> (Vec<IpAddr>, Vec<IpAddr>) {
        let wish = Wish::of(&ask(ip, Some(8080..=8080)), &ways).unwrap();
        (wish.bound, wish.open)
    }

    #[test]
    fn where_a_port_is_published() {
        let by = |default: &str| {
            Some(Way {
                translated: true,
                default: default.parse().unwrap(),
            })
        };
        let both = [Some(Way::ANY); 2];
        assert_eq!(on(both, None), (vec![V4, V6], vec![]));
        assert_eq!(on(both, Some("0.0.0.0")), (vec![V4], vec![]));
        assert_eq!(on(both, Some("::")), (vec![V6], vec![]));
        assert_eq!(on([None; 2], None), (vec![], vec![]));
        assert!(on([Some(Way::ANY), None], Some("fd00::1")).0.is_empty());
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(on([by("127.0.0.1"); 2], None).0, [local]);
        assert_eq!(on([by("::"); 2], None).0, [V6]);
        assert_eq!(on([by("::"); 2], Some("0.0.0.0")).0, [V4]);
        assert_eq!(on([Some(ROUTED); 2], None), (vec![], vec![V4, V6]));
        assert_eq!(
            on([Some(ROUTED), Some(Way::ANY)], None),
            (vec![V6], vec![V4])
        );
        // An address of the host's means nothing where the host has no part.
        assert_eq!(on([Some(ROUTED), None], Some("127.0.0.1")).1, [V4]);
        let sctp = PortRequest {
            proto: Proto::Sctp,
            ..ask(Some("::1"), None)
        };
        assert!(Wish::of(&sctp, &both).is_err());
    }

    #[test]
    fn what_is_there_is_kept() {
        let both = [Some(Way::ANY); 2];
        let asked = [ask(None, None)];
        let has = [port(V4, 40000)];
        let plan = Plan::new(&has, &asked, &both).unwrap();
        assert_eq!((&plan.kept[..], plan.gone.len()), (&has[..], 0));
        let missing = &plan.missing[0];
        assert_eq!(
            (&missing.bound[..], missing.host_port.clone()),
            (&[V6][..], 40000..=40000)
        );
        let plan = Plan::new(&has, &asked, &[None; 2]).unwrap();
        assert_eq!((plan.kept.len(), &plan.gone[..]), (0, &has[..]));
        let plan = Plan::new(&has, &asked, &[Some(ROUTED), None]).unwrap();
        assert_eq!(
            (&plan.gone[..], &plan.missing[0].open[..]),
            (&has[..], &[V4][..])
        );
        let open = [port(V4, 0)];
        let plan = Plan::new(&open, &asked, &[Some(ROUTED), None]).unwrap();
        assert_eq!((&plan.kept[..], plan.missing.len()), (&open[..], 0));
        let plan = Plan::new(&open, &asked, &[Some(Way::ANY), None]).unwrap();
        assert_eq!((plan.gone.len(), plan.missing.len()), (1, 1));
    }

    #[test]
    fn the_same_port_asked_for_twice_is_there_twice() {
        let asked = [ask(None, Some(9000..=9001)), ask(None, Some(9000..=9001))];
        let has = [port(V4, 9000), port(V4, 9001)];
        let plan = Plan::new(&has, &asked, &[Some(Way::ANY), None]).unwrap();
        assert_eq!((&plan.kept[..], plan.missing.len()), (&has[..], 0));
    }
}
