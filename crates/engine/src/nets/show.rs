//! Networks, to read.

use std::collections::BTreeMap;

use types::{
    network::{ConfigReference, NetworkContainer, NetworkInspect},
    options::Filters,
};

use super::NetworkRecord;
use crate::{
    Engine,
    error::{Error, Result},
    inspect::endpoint_id,
    list::labels_pass,
    sync::lock,
};

impl Engine {
    /// The networks that match, without their containers.
    ///
    /// # Errors
    /// When a filter's value makes no sense.
    pub fn list_networks(&self, filters: &Filters) -> Result<Vec<NetworkInspect>> {
        let mut chosen = Vec::new();
        for record in self.networks.all() {
            let network = describe(&record);
            if matches(filters, &network, record.is_predefined(), || {
                self.is_wanted(&record.id)
            })? {
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
        let record = self.networks.find(name)?;
        Ok(NetworkInspect {
            containers: self.members(&record.id),
            ..describe(&record)
        })
    }

    /// The running containers of a network.
    pub(crate) fn members(&self, network: &str) -> BTreeMap<String, NetworkContainer> {
        let all = lock(&self.containers).all();
        all.iter()
            .filter(|c| c.state().is_running())
            .filter_map(|container| {
                let name = container
                    .with_record(|r| r.networks.contains_key(network).then(|| r.name.clone()))?;
                let mut member = NetworkContainer {
                    name,
                    endpoint_id: endpoint_id(&container.id, network),
                    ..NetworkContainer::default()
                };
                if let Some(endpoint) = lock(&container.place).endpoints.get(network) {
                    member.mac_address = endpoint.mac.to_string();
                    if let Some(ip) = endpoint.ip {
                        member.ipv4_address = format!("{ip}/{}", endpoint.prefix);
                    }
                    if let Some(ip) = endpoint.ip6 {
                        member.ipv6_address = format!("{ip}/{}", endpoint.prefix6);
                    }
                }
                Some((container.id.clone(), member))
            })
            .collect()
    }
}

/// A network without its containers.
fn describe(record: &NetworkRecord) -> NetworkInspect {
    NetworkInspect {
        name: record.name.clone(),
        id: record.id.clone(),
        created: record.created.clone(),
        scope: "local".to_owned(),
        driver: record.driver.clone(),
        enable_ipv4: record.enable_ipv4,
        enable_ipv6: record.enable_ipv6,
        ipam: record.ipam.clone(),
        internal: record.internal,
        attachable: record.attachable,
        ingress: false,
        config_from: ConfigReference {
            network: record.config_from.clone(),
        },
        config_only: record.config_only,
        containers: BTreeMap::new(),
        options: record.options.clone(),
        labels: record.labels.clone(),
    }
}

/// Whether a network, of the daemon's `own` or a user's, passes; `is_wanted` says whether a container has
/// it.
fn matches(
    filters: &Filters,
    network: &NetworkInspect,
    own: bool,
    is_wanted: impl Fn() -> bool,
) -> Result<bool> {
    let any = |name: &str, test: &dyn Fn(&str) -> bool| {
        let values = filters.get(name);
        values.is_none_or(|values| values.iter().any(|value| test(value)))
    };
    let mut dangling = true;
    for value in filters.get("dangling").into_iter().flatten() {
        let dangles = match value.as_str() {
            "1" | "true" => true,
            "0" | "false" => false,
            _ => {
                return Err(Error::Invalid(format!(
                    "invalid filter 'dangling=[{value}]'"
                )));
            }
        };
        // The three are never dangling: Docker counts only networks of the user's own.
        dangling &= !own && is_wanted() != dangles;
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
        && any("type", &|v| (v == "builtin") == own)
        && labels_pass(&network.labels, filters))
}
