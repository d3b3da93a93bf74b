//! What is open on the host, and why.

use std::{net::IpAddr, sync::Arc};

use network::{Gateway, Published, PublishedPort};
use types::firewall::{Firewall, FirewallNetwork, OpenPort};

use super::define;
use crate::{Engine, blocking, container::Container, error::Result, sync::lock};

impl Engine {
    /// What the daemon's rules let through.
    ///
    /// # Errors
    /// When a network's record makes no sense.
    pub async fn firewall(self: &Arc<Self>) -> Result<Firewall> {
        let fabric = Arc::clone(&self.network);
        let warnings = blocking(move || Ok(fabric.warnings())).await?;
        let mut networks = Vec::new();
        for record in self.networks.all() {
            let definition = define::definition(&record)?;
            let Some((definition, bridge)) =
                definition.as_ref().and_then(|d| Some((d, d.bridge()?)))
            else {
                continue;
            };
            networks.push(FirewallNetwork {
                name: record.name.clone(),
                bridge: bridge.link.clone(),
                subnets: definition
                    .spaces
                    .iter()
                    .map(|s| s.subnet.to_string())
                    .collect(),
                inbound: inbound(definition, bridge),
                outbound: outbound(definition, bridge).to_owned(),
            });
        }
        let mut ports: Vec<OpenPort> = Vec::new();
        for container in lock(&self.containers).all() {
            let published = lock(&container.place).published.clone();
            let open = published.ports.iter();
            ports.extend(open.map(|p| shown(&container, p, &published)));
        }
        ports.sort_by(|a, b| {
            let key = |p: &OpenPort| (p.host_port, p.protocol.clone(), p.host_ip.clone());
            key(a).cmp(&key(b))
        });
        let (table, user_table) = self.network.tables();
        Ok(Firewall {
            table,
            user_table,
            integrate: self.network.integrates(),
            networks,
            ports,
            warnings,
        })
    }
}

fn shown(container: &Container, port: &PublishedPort, all: &Published) -> OpenPort {
    let (ipv4, target) = (port.host_ip.is_ipv4(), all.target);
    let ip = if ipv4 {
        target.ip.map(IpAddr::V4)
    } else {
        target.ip6.map(IpAddr::V6)
    };
    // What has no IPv6 is reached by the relay, which is the host as far as other firewalls see.
    let by_relay = ip.is_none() && all.leads(port);
    let ip = if by_relay { all.carried().1 } else { ip };
    let to = ip.map(|ip| std::net::SocketAddr::new(ip, port.container_port).to_string());
    let why = match (&to, port.host_ip) {
        (None, _) => "published, but the container has no network that leads out".to_owned(),
        (Some(_), ip) if ip.is_loopback() => "published to the host itself only".to_owned(),
        (Some(_), ip) if ip.is_unspecified() && target.routed[usize::from(!ipv4)] => {
            "published at the container's own address".to_owned()
        }
        (Some(_), ip) if ip.is_unspecified() && by_relay => {
            "published on all addresses, by the relay".to_owned()
        }
        (Some(_), ip) if ip.is_unspecified() => "published on all addresses".to_owned(),
        (Some(_), ip) => format!("published on {ip}"),
    };
    // Without a port of the host's it is open at the container itself.
    let (host_ip, host_port) = match (port.host_port, ip) {
        (0, Some(ip)) => (ip, port.container_port),
        (host_port, _) => (port.host_ip, host_port),
    };
    OpenPort {
        host_ip: host_ip.to_string(),
        host_port,
        protocol: port.proto.to_string(),
        container: container.name(),
        target: to.unwrap_or_default(),
        why,
    }
}

fn inbound(definition: &network::Definition, bridge: &network::Bridge) -> String {
    if definition.internal {
        return "nothing (internal)".to_owned();
    }
    let families = [true, false].into_iter();
    let used = families.filter(|v4| definition.spaces_of(*v4).next().is_some());
    let mut modes: Vec<&str> = used
        .map(|v4| match bridge.gateway(v4) {
            Gateway::Nat => "published ports",
            Gateway::NatUnprotected => "everything that is routed here",
            Gateway::Routed => "published ports at the containers' own addresses, and ping",
            Gateway::Isolated => "nothing",
        })
        .collect();
    modes.dedup();
    let mut text = modes.join("; IPv6: ");
    if !bridge.icc {
        text.push_str("; containers are kept apart");
    }
    text
}

fn outbound(definition: &network::Definition, bridge: &network::Bridge) -> &'static str {
    match (definition.internal, bridge.masquerade) {
        (true, _) => "nothing (internal)",
        (false, true) => "everything, with the host's address",
        (false, false) => "everything, with the containers' own addresses",
    }
}
