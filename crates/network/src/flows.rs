//! Tracked UDP flows whose translation is no longer true.

use sys::netlink::{Flow, Socket, addresses, forget_udp};

use crate::endpoint::{Proto, Published};
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
        let udp = published.ports.iter().filter(|p| p.proto == Proto::Udp);
        for port in udp {
            let done = self.firewall.with_socket(|socket| {
                forget_udp(socket, port.host_ip.is_ipv4(), port.host_port, |flow| {
                    port.only_on().is_none_or(|ip| ip == flow.sent_to)
                        && wanted(&mut self.route(), flow)
                })
            });
            if let Err(e) = done {
                tracing::warn!(port = port.host_port, "cannot forget old UDP flows: {e}");
            }
        }
    }
}
