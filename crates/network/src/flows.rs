//! Tracked UDP flows whose translation is no longer true.

use std::collections::BTreeSet;

use sys::netlink::{Flow, Socket, addresses, forget_udp};

use crate::endpoint::{Proto, Published, PublishedPort};
use crate::fabric::Fabric;

impl Fabric {
    /// Clients that kept sending UDP while nobody had the port would go on being untranslated.
    pub(crate) fn forget_untranslated(&self, published: &Published) {
        let mut own = None;
        self.forget_flows(published, |socket, flow| {
            let own = own.get_or_insert_with(|| addresses(socket).unwrap_or_default());
            flow.sent_to == flow.answered_by && own.iter().any(|a| a.ip == flow.sent_to)
        });
    }

    /// Clients that keep sending UDP would go on being translated to a container that is gone.
    pub(crate) fn forget_translated(&self, published: &Published) {
        let target = published.target;
        self.forget_flows(published, |_, flow| {
            target.address(flow.sent_to.is_ipv4()) == Some(flow.answered_by)
        });
    }

    fn forget_flows(
        &self,
        published: &Published,
        mut wanted: impl FnMut(&mut Socket, &Flow) -> bool,
    ) {
        // All at once: each question has the kernel read its whole table.
        for ipv4 in [true, false] {
            let ours = |p: &&PublishedPort| p.proto == Proto::Udp && p.host_ip.is_ipv4() == ipv4;
            let udp: Vec<_> = published.ports.iter().filter(ours).collect();
            if udp.is_empty() {
                continue;
            }
            let numbers: BTreeSet<_> = udp.iter().map(|p| p.host_port).collect();
            let is_to = |p: &PublishedPort, flow: &Flow| {
                p.host_port == flow.port && p.only_on().is_none_or(|ip| ip == flow.sent_to)
            };
            let done = self.firewall.with_socket(|socket| {
                forget_udp(socket, ipv4, &numbers, |flow| {
                    udp.iter().any(|p| is_to(p, flow)) && wanted(&mut self.route(), flow)
                })
            });
            if let Err(e) = done {
                tracing::warn!("cannot forget old UDP flows: {e}");
            }
        }
    }
}
