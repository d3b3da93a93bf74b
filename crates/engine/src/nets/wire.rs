//! Putting a container that starts into its networks.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    os::fd::{BorrowedFd, OwnedFd},
    path::Path,
};

use network::{Endpoint, Gateway, Published, Request, Target, Way, Ways};

use super::{
    Attachments,
    choose::{self, Joined},
    define::{self, Options, option},
    settings::{self, Asked},
};
use crate::{
    Engine,
    error::{Error, Result},
    inspect::network_id,
    network_mode::NetworkMode,
    ports,
    record::Record,
    sync::lock,
};

/// Where a container is in its networks while it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// By network.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Its ports of the host's.
    pub published: Published,
}

impl Place {
    /// Its addresses.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let all = self.endpoints.values();
        all.flat_map(Endpoint::addresses).collect()
    }
}

/// A container that is in its networks.
#[derive(Default)]
pub(crate) struct Wired {
    pub place: Place,
    /// Sockets that keep its ports while it runs.
    pub held: Vec<OwnedFd>,
}

impl Engine {
    /// A container's networks, that of its mode first, then by name; without those that have no links.
    pub(super) fn joined(
        &self,
        attachments: &Attachments,
        mode: &NetworkMode,
    ) -> Result<Vec<Joined>> {
        let mut all = Vec::new();
        for (id, attachment) in attachments {
            if self.has_no_default_network() && *id == network_id(super::BRIDGE) {
                // It was in it when there was one.
                continue;
            }
            let network = self
                .networks
                .get(id)
                .ok_or_else(|| Error::NoSuchNetwork(attachment.name.clone()))?;
            if network.is_linkless() {
                continue;
            }
            all.push(Joined {
                network,
                attachment: attachment.clone(),
            });
        }
        let main = match mode {
            NetworkMode::Own(name) => self.networks.find(name).ok().map(|n| n.id.clone()),
            NetworkMode::Bridge => self.networks.find(super::BRIDGE).ok().map(|n| n.id.clone()),
            _ => None,
        };
        all.sort_by_key(|j| (main.as_ref() != Some(&j.network.id), j.network.name.clone()));
        Ok(all)
    }

    /// Puts a container's namespace into its networks and publishes its ports. When it fails
    /// [`network::Fabric::forget`] takes back what was done.
    pub(crate) fn wire(&self, record: &Record, netns: BorrowedFd<'_>) -> Result<Wired> {
        let joined = self.joined(&record.networks, &NetworkMode::of(&record.host_config)?)?;
        if joined.len() < record.networks.len() {
            // In `none` alone, where Docker holds no ports.
            return Ok(Wired::default());
        }
        let gateways = choose::gateways(&joined);
        let requests = ports::requests(&record.config, &record.host_config)?;
        let ways = ways(&joined, gateways)?;
        let (published, held) = self
            .network
            .reserve_ports(&record.id, &ways, &requests)
            .map_err(|e| self.with_names(e))?;
        let mut place = Place {
            published: Published {
                ports: published,
                target: Target::default(),
            },
            ..Place::default()
        };
        let mut names = Vec::new();
        for (at, one) in joined.iter().enumerate() {
            let default_route = gateways.map(|g| g == Some(at));
            let endpoint = self.plug(record, one, netns, &mut names, default_route)?;
            place.endpoints.insert(one.network.id.clone(), endpoint);
        }
        let target = target(&joined, gateways, &place.endpoints)?;
        place.published = self.network.publish(&record.id, target)?;
        Ok(Wired { place, held })
    }

    /// What the network says of containers, with their names.
    pub(super) fn with_names(&self, error: network::Error) -> network::Error {
        let all = lock(&self.containers).all();
        error.with_names(&|id| all.iter().find(|c| c.id == id).map(|c| c.name()))
    }

    /// One network of a container's.
    pub(super) fn plug(
        &self,
        record: &Record,
        joined: &Joined,
        netns: BorrowedFd<'_>,
        names: &mut Vec<String>,
        default_route: [bool; 2],
    ) -> Result<Endpoint> {
        let asked = settings::read(&joined.attachment.settings)?;
        let options = Options(&joined.network.options);
        let prefix = options
            .text(option::INTERFACE_PREFIX)
            .filter(|p| !p.is_empty())
            .unwrap_or("eth");
        let inside = asked
            .ifname
            .clone()
            .unwrap_or_else(|| choose::free_name(prefix, names));
        if names.contains(&inside) {
            return Err(Error::Forbidden(format!(
                "the link {inside} that is asked for in the network {} is another network's in the \
                 container: ask for another {}",
                joined.network.name,
                settings::IFNAME
            )));
        }
        names.push(inside.clone());
        let request = Request {
            ip: asked.ip,
            ip6: asked.ip6,
            link_local: asked.link_local.clone(),
            mac: asked.mac,
            inside,
            default_route,
        };
        let endpoint = self
            .network
            .connect(&joined.network.id, &record.id, netns, &request)?;
        if let Err(error) = set_sysctls(&asked, &endpoint, netns) {
            let _ = self.network.unplug(&record.id, netns, &endpoint);
            self.network.disconnect(&joined.network.id, &record.id)?;
            return Err(error);
        }
        Ok(endpoint)
    }
}

/// The ways that lead to a container, by the networks that it leads out by, if those are bridges.
pub(super) fn ways(joined: &[Joined], gateways: [Option<usize>; 2]) -> Result<Ways> {
    let mut ways = Ways::default();
    for (family, at) in gateways.into_iter().enumerate() {
        let Some(one) = at.and_then(|at| joined.get(at)) else {
            continue;
        };
        let definition = define::definition(&one.network)?;
        let Some(bridge) = definition.as_ref().and_then(|d| d.bridge()) else {
            continue;
        };
        let default = Options(&one.network.options).host_binding()?;
        ways[family] = Some(Way {
            translated: bridge.gateway(family == 0) != Gateway::Routed,
            default: default.unwrap_or(Way::ANY.default),
        });
    }
    // What comes in IPv6 is carried by the relay to where there is IPv4 alone.
    if let [Some(four), None] = ways
        && four.translated
        && network::host_has_ipv6()
    {
        ways[1] = Some(four);
    }
    Ok(ways)
}

/// Where a container's published ports lead to: its addresses in the networks that lead out, if those
/// are bridges.
pub(super) fn target(
    joined: &[Joined],
    gateways: [Option<usize>; 2],
    endpoints: &BTreeMap<String, Endpoint>,
) -> Result<Target> {
    let mut target = Target::default();
    for (family, at) in gateways.into_iter().enumerate() {
        let Some(one) = at.and_then(|at| joined.get(at)) else {
            continue;
        };
        let definition = define::definition(&one.network)?;
        let (Some(bridge), Some(endpoint)) = (
            definition.as_ref().and_then(|d| d.bridge()),
            endpoints.get(&one.network.id),
        ) else {
            continue;
        };
        let ipv4 = family == 0;
        target.routed[family] = bridge.gateway(ipv4) == Gateway::Routed;
        if ipv4 {
            target.ip = endpoint.ip;
        } else {
            target.ip6 = endpoint.ip6;
        }
    }
    Ok(target)
}

/// Settings of the kernel's for one end, which are its namespace's.
fn set_sysctls(asked: &Asked, endpoint: &Endpoint, netns: BorrowedFd<'_>) -> Result<()> {
    if asked.sysctls.is_empty() {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        for (path, value) in &asked.sysctls {
            let path = path.replace("IFNAME", &endpoint.inside);
            std::fs::write(Path::new("/proc/sys/net").join(path), value)?;
        }
        Ok(())
    };
    sys::netns::inside(netns, write)
        .and_then(|done| done)
        .map_err(|e| Error::Invalid(format!("failed to set {}: {e}", settings::SYSCTLS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses() {
        let mut place = Place::default();
        assert!(place.addresses().is_empty());
        let json =
            r#"{"ip":"10.0.0.2","prefix":8,"ip6":"fd00::2","mac":"02:42:ac:11:00:02","link":"x"}"#;
        let endpoint: Endpoint = serde_json::from_str(json).unwrap();
        place.endpoints.insert("n".into(), endpoint);
        let shown: Vec<String> = place.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.2", "fd00::2"]);
    }
}
