//! Tracked UDP flows whose translation is no longer true.

use sys::netlink::{Flow, Socket, addresses, forget_udp};

use crate::endpoint::{Endpoint, Proto};
use crate::network::Network;

impl Network {
    /// Clients that kept sending UDP while nobody had the port would go on being untranslated.
    pub(crate) fn forget_untranslated(&self, endpoint: &Endpoint) {
        let mut own = None;
        self.forget(endpoint, |socket, flow| {
            let own = own.get_or_insert_with(|| addresses(socket).unwrap_or_default());
            flow.sent_to == flow.answered_by && own.iter().any(|a| a.ip == flow.sent_to)
        });
    }

    /// Clients that keep sending UDP would go on being translated to a container that is gone.
    pub(crate) fn forget_translated(&self, endpoint: &Endpoint) {
        self.forget(endpoint, |_, flow| flow.answered_by == endpoint.ip);
    }

    fn forget(&self, endpoint: &Endpoint, mut wanted: impl FnMut(&mut Socket, &Flow) -> bool) {
        for port in endpoint.ports.iter().filter(|p| p.proto == Proto::Udp) {
            let done = self.firewall.with_socket(|socket| {
                forget_udp(socket, port.host_port, |flow| {
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
