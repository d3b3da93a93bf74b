//! The three networks that are always there, to read.

use std::collections::BTreeMap;

use types::{
    network::{Ipam, IpamConfig, NetworkContainer, NetworkInspect},
    options::Filters,
};

use crate::{
    Engine,
    error::{Error, Result},
    inspect::{endpoint_id, network_id},
    network_mode::NetworkMode,
    sync::lock,
};

/// Name and driver, in the order of Docker's list.
const NETWORKS: [(&str, &str); 3] = [("bridge", "bridge"), ("host", "host"), ("none", "null")];

impl Engine {
    /// The networks that match, without their containers.
    ///
    /// # Errors
    /// When a filter's value makes no sense.
    pub fn list_networks(&self, filters: &Filters) -> Result<Vec<NetworkInspect>> {
        let mut chosen = Vec::new();
        for (name, driver) in NETWORKS {
            let mut network = self.describe(name, driver);
            if matches(filters, &network)? {
                network.containers.clear();
                chosen.push(network);
            }
        }
        Ok(chosen)
    }

    /// One network by its name, its identifier or the unique beginning of that.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn inspect_network(&self, name: &str) -> Result<NetworkInspect> {
        let all = NETWORKS.map(|(name, driver)| self.describe(name, driver));
        if let Some(exact) = all.iter().find(|n| n.name == name || n.id == name) {
            return Ok(exact.clone());
        }
        let mut fitting = all.into_iter().filter(|n| n.id.starts_with(name));
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(Error::Invalid(format!(
                "network {name} is ambiguous (2 matches found on name or ID prefix)"
            ))),
            (None, _) => Err(Error::NoSuchNetwork(name.to_owned())),
        }
    }

    fn describe(&self, name: &str, driver: &str) -> NetworkInspect {
        let bridge = driver == "bridge";
        let subnet = self.network.subnet();
        let mut options = BTreeMap::new();
        if bridge {
            let mtu = self.network.mtu().unwrap_or(1500);
            for (key, value) in [
                ("bridge.default_bridge", "true".to_owned()),
                ("bridge.enable_icc", self.network.icc().to_string()),
                ("bridge.enable_ip_masquerade", "true".to_owned()),
                ("bridge.host_binding_ipv4", "0.0.0.0".to_owned()),
                ("bridge.name", self.network.bridge().to_owned()),
                ("driver.mtu", mtu.to_string()),
            ] {
                options.insert(format!("com.docker.network.{key}"), value);
            }
        }
        NetworkInspect {
            name: name.to_owned(),
            id: network_id(name),
            created: self.opened.clone(),
            scope: "local".to_owned(),
            driver: driver.to_owned(),
            enable_ipv4: true,
            ipam: Ipam {
                driver: "default".to_owned(),
                options: None,
                config: Vec::from_iter(bridge.then(|| IpamConfig {
                    subnet: format!("{}/{}", subnet.network(), subnet.prefix),
                    gateway: subnet.gateway.to_string(),
                    ..IpamConfig::default()
                })),
            },
            containers: self.members(name),
            options,
            ..NetworkInspect::default()
        }
    }

    /// The running containers of a network.
    fn members(&self, network: &str) -> BTreeMap<String, NetworkContainer> {
        let all = lock(&self.containers).all();
        all.iter()
            .filter(|c| c.state().is_running())
            .filter_map(|container| {
                let (mode, name) =
                    container.with_record(|r| (NetworkMode::of(&r.host_config), r.name.clone()));
                if mode.ok()?.name() != Some(network) {
                    return None;
                }
                let mut member = NetworkContainer {
                    name,
                    endpoint_id: endpoint_id(&container.id),
                    ..NetworkContainer::default()
                };
                if let Some(endpoint) = &*lock(&container.endpoint) {
                    member.mac_address = endpoint.mac.to_string();
                    member.ipv4_address = format!("{}/{}", endpoint.ip, endpoint.prefix);
                }
                Some((container.id.clone(), member))
            })
            .collect()
    }
}

fn matches(filters: &Filters, network: &NetworkInspect) -> Result<bool> {
    let any = |name: &str, test: &dyn Fn(&str) -> bool| {
        let values = filters.get(name);
        values.is_none_or(|values| values.iter().any(|value| test(value)))
    };
    let mut dangling = true;
    for value in filters.get("dangling").into_iter().flatten() {
        let wanted = match value.as_str() {
            "1" | "true" => true,
            "0" | "false" => false,
            _ => {
                return Err(Error::Invalid(format!(
                    "invalid filter 'dangling=[{value}]'"
                )));
            }
        };
        // The three are never dangling: Docker counts only networks of the user's own.
        dangling &= !wanted && !network.containers.is_empty();
    }
    for value in filters.get("type").into_iter().flatten() {
        if value != "builtin" && value != "custom" {
            return Err(Error::Invalid(format!("invalid filter: 'type'='{value}'")));
        }
    }
    Ok(dangling
        && any("driver", &|v| network.driver == v)
        && any("id", &|v| network.id.contains(v))
        && any("name", &|v| network.name.contains(v))
        && any("scope", &|v| network.scope == v)
        && any("type", &|v| v == "builtin")
        // They have no labels.
        && any("label", &|_| false))
}
