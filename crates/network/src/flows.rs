//! Tracked UDP flows whose translation is no longer true.

use std::collections::BTreeSet;

use sys::netlink::{Flow, Socket, addresses, forget_udp};

use crate::endpoint::{Proto, Published, PublishedPort, Target};

/// Flows to be forgotten. The kernel reads its whole table for that, some 10 ms, so nobody waits for it
/// who need not.
#[derive(Debug)]
pub(crate) struct Stale {
    ports: Vec<PublishedPort>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    /// Clients that keep sending UDP would go on being translated to a container that is gone.
    Led(Target),
    /// Clients that kept sending UDP while nobody had the port would go on being untranslated.
    Passed,
}

impl Stale {
    /// Flows to where these ports led.
    pub(crate) fn led(old: &Published) -> Option<Self> {
        let led = |p: &PublishedPort| old.target.address(p.host_ip.is_ipv4()).is_some();
        Self::of(old, led, Of::Led(old.target))
    }

    /// Flows that passed by these ports before they led anywhere.
    pub(crate) fn passed(new: &Published) -> Option<Self> {
        let leads = |p: &PublishedPort| new.target.address(p.host_ip.is_ipv4()).is_some();
        Self::of(new, leads, Of::Passed)
    }

    fn of(all: &Published, which: impl Fn(&PublishedPort) -> bool, of: Of) -> Option<Self> {
        let udp = |p: &PublishedPort| p.proto == Proto::Udp && p.host_port != 0;
        let ports: Vec<_> = all.ports.iter().filter(|p| udp(p) && which(p)).collect();
        let ports: Vec<_> = ports.into_iter().copied().collect();
        (!ports.is_empty()).then_some(Self { ports, of })
    }

    /// Forgets them, by sockets for connections and for addresses.
    pub(crate) fn forget(&self, tracking: &mut Socket, route: &mut Socket) {
        // All at once: each question has the kernel read its whole table.
        for ipv4 in [true, false] {
            let ours = |p: &&PublishedPort| p.host_ip.is_ipv4() == ipv4;
            let udp: Vec<_> = self.ports.iter().filter(ours).collect();
            if udp.is_empty() {
                continue;
            }
            let numbers: BTreeSet<_> = udp.iter().map(|p| p.host_port).collect();
            let is_to = |p: &PublishedPort, flow: &Flow| {
                p.host_port == flow.port && p.only_on().is_none_or(|ip| ip == flow.sent_to)
            };
            let mut own = None;
            let mut wanted = |flow: &Flow| match self.of {
                Of::Led(target) => target.address(ipv4) == Some(flow.answered_by),
                Of::Passed => {
                    let own = own.get_or_insert_with(|| addresses(route).unwrap_or_default());
                    flow.sent_to == flow.answered_by && own.iter().any(|a| a.ip == flow.sent_to)
                }
            };
            let done = forget_udp(tracking, ipv4, &numbers, |flow| {
                udp.iter().any(|p| is_to(p, flow)) && wanted(flow)
            });
            if let Err(e) = done {
                tracing::warn!("cannot forget old UDP flows: {e}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_led_somewhere_by_udp_leaves_traces() {
        let port = |proto, host_port| PublishedPort {
            proto,
            host_ip: [0; 4].into(),
            host_port,
            container_port: 53,
        };
        let target = Target {
            ip: Some([172, 17, 0, 2].into()),
            ..Target::default()
        };
        let all = |ports: Vec<_>, target| Published { ports, target };
        let led = Stale::led(&all(
            vec![port(Proto::Udp, 53), port(Proto::Tcp, 53)],
            target,
        ));
        assert_eq!(led.map(|s| s.ports.len()), Some(1));
        assert!(Stale::led(&all(vec![port(Proto::Tcp, 53)], target)).is_none());
        assert!(Stale::led(&all(vec![port(Proto::Udp, 0)], target)).is_none());
        assert!(Stale::led(&all(vec![port(Proto::Udp, 53)], Target::default())).is_none());
    }
}
