//! What the relay carries: what comes to a port in IPv6 and is not translated. That is everything where
//! the container has no IPv6, and what the host itself sends to `[::1]`, which cannot be sent elsewhere.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};

use crate::endpoint::{Proto, Published, PublishedPort, Target};

/// Whether this host speaks IPv6: ports are published in it then, whatever the container has.
#[must_use]
pub fn host_has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

impl PublishedPort {
    /// Whether the relay can carry what comes to it.
    fn is_carried(&self) -> bool {
        let known = matches!(self.proto, Proto::Tcp | Proto::Udp);
        known && self.host_ip.is_ipv6() && self.host_port != 0
    }

    /// Whether what comes to it is translated, as far as it depends on its address.
    pub(crate) fn is_translated(&self) -> bool {
        self.host_ip.is_ipv4() || !self.host_ip.is_loopback()
    }
}

impl Target {
    /// Where the relay sends what comes in IPv6.
    fn carried_to(&self) -> Option<IpAddr> {
        let [four, six] = self.routed;
        match (self.ip6, self.ip) {
            (Some(ip), _) => (!six).then_some(ip.into()),
            (None, Some(ip)) => (!four).then_some(ip.into()),
            (None, None) => None,
        }
    }
}

impl Published {
    /// The ports that the relay carries, and where to.
    #[must_use]
    pub fn carried(&self) -> (Vec<PublishedPort>, Option<IpAddr>) {
        let ports = self.ports.iter().filter(|p| p.is_carried());
        (ports.copied().collect(), self.target.carried_to())
    }

    /// Whether a port of these leads anywhere.
    #[must_use]
    pub fn leads(&self, port: &PublishedPort) -> bool {
        if port.host_ip.is_ipv4() {
            return self.target.ip.is_some();
        }
        self.target.ip6.is_some() || port.is_carried() && self.target.carried_to().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_where() {
        let port = |proto, host_ip: &str| PublishedPort {
            proto,
            host_ip: host_ip.parse().unwrap(),
            host_port: 8080,
            container_port: 80,
        };
        let any = port(Proto::Tcp, "::");
        let mut all = Published {
            ports: vec![
                port(Proto::Tcp, "0.0.0.0"),
                any,
                port(Proto::Udp, "::1"),
                port(Proto::Sctp, "::"),
            ],
            target: Target::default(),
        };
        assert_eq!(all.carried().0.len(), 2);
        assert_eq!(all.carried().1, None);
        assert!(!all.leads(&any));
        all.target.ip = Some([172, 17, 0, 2].into());
        assert_eq!(all.carried().1, Some([172, 17, 0, 2].into()));
        assert!(all.leads(&any) && !all.leads(&port(Proto::Sctp, "::")));
        let six: Ipv6Addr = "fd00::2".parse().unwrap();
        all.target.ip6 = Some(six);
        assert_eq!(all.carried().1, Some(six.into()));
        assert!(all.leads(&port(Proto::Sctp, "::")));
        // Where the host has no part in it, the relay has none either.
        all.target.routed = [false, true];
        assert_eq!(all.carried().1, None);
        assert!(any.is_translated() && !port(Proto::Tcp, "::1").is_translated());
    }
}
