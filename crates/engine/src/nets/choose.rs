//! Which of a container's networks leads where, and what its ends are called.

use std::cmp::Reverse;

use network::{Driver, Gateway};

use super::{Attachment, NetworkRecord, define};

/// A network that a container is in.
#[derive(Clone)]
pub(super) struct Joined {
    pub network: std::sync::Arc<NetworkRecord>,
    pub attachment: Attachment,
}

/// Whether a network leads elsewhere, in this family.
pub(super) fn leads_out(network: &NetworkRecord, ipv4: bool) -> bool {
    let enabled = if ipv4 {
        network.enable_ipv4
    } else {
        network.enable_ipv6
    };
    if !enabled || network.internal {
        return false;
    }
    let Ok(Some(definition)) = define::definition(network) else {
        return false;
    };
    match &definition.driver {
        Driver::Bridge(bridge) => bridge.gateway(ipv4) != Gateway::Isolated,
        Driver::Shared { parent: None, .. } => false,
        Driver::Shared { .. } => definition
            .spaces_of(ipv4)
            .any(|space| space.gateway.is_some()),
    }
}

/// The networks that what is for elsewhere goes by, in IPv4 and IPv6: of the highest priority, and of
/// those with the same the first by name.
pub(super) fn gateways(joined: &[Joined]) -> [Option<usize>; 2] {
    [true, false].map(|ipv4| {
        let out = joined
            .iter()
            .enumerate()
            .filter(|(_, j)| leads_out(&j.network, ipv4));
        out.min_by_key(|(_, j)| {
            (
                Reverse(j.attachment.settings.gw_priority),
                j.network.name.clone(),
            )
        })
        .map(|(at, _)| at)
    })
}

/// The first name of this beginning that is not taken.
pub(super) fn free_name(prefix: &str, taken: &[String]) -> String {
    let names = (0..).map(|n| format!("{prefix}{n}"));
    names
        .into_iter()
        .find(|name| !taken.contains(name))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use types::{container::EndpointSettings, network::IpamConfig};

    use super::*;

    fn joined(name: &str, internal: bool, priority: i64) -> Joined {
        let mut record = NetworkRecord {
            id: "0".repeat(64),
            name: name.to_owned(),
            driver: "bridge".to_owned(),
            enable_ipv4: true,
            internal,
            ..NetworkRecord::default()
        };
        record.ipam.config.push(IpamConfig {
            subnet: "10.0.0.0/24".into(),
            gateway: "10.0.0.1".into(),
            ..IpamConfig::default()
        });
        Joined {
            network: record.into(),
            attachment: Attachment {
                name: name.to_owned(),
                settings: EndpointSettings {
                    gw_priority: priority,
                    ..EndpointSettings::default()
                },
            },
        }
    }

    #[test]
    fn the_way_out() {
        let all = [
            joined("b", false, 0),
            joined("a", false, 0),
            joined("0", true, 9),
        ];
        assert_eq!(gateways(&all), [Some(1), None]);
        let all = [joined("b", false, 1), joined("a", false, 0)];
        assert_eq!(gateways(&all), [Some(0), None]);
        assert_eq!(gateways(&[joined("a", true, 0)]), [None, None]);
    }

    #[test]
    fn names_of_ends() {
        let taken = ["eth0", "eth2"].map(str::to_owned);
        assert_eq!(free_name("eth", &taken), "eth1");
        assert_eq!(free_name("wan", &[]), "wan0");
    }
}
