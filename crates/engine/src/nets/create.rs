//! Making and removing networks.

use std::{collections::BTreeMap, sync::Arc};

use network::{AddressSpace, Subnet};
use types::{
    id,
    network::{IpamConfig, NetworkCreate, NetworkCreated},
    options::Filters,
};

use super::{
    NetworkRecord, define,
    define::{Options, option},
};
use crate::{
    Engine, blocking, clock,
    error::{Error, Result},
    list::labels_pass,
};

/// Names that no network of a user's can have.
const RESERVED: [&str; 4] = ["bridge", "default", "host", "none"];

impl Engine {
    /// Makes a network.
    ///
    /// # Errors
    /// When something about it makes no sense or is not supported, or its name or a subnet of it has
    /// an owner; nothing is left of it then.
    pub async fn create_network(self: &Arc<Self>, wanted: NetworkCreate) -> Result<NetworkCreated> {
        // Other daemons of the host choose from the same pools: one at a time, until the addresses are there
        // for the next one to see.
        let _claim = blocking(|| Ok(network::Claim::wait())).await?;
        let _gate = self.networks.gate.lock().await;
        let mut record = self.draft(wanted)?;
        if self.networks.all().iter().any(|n| n.name == record.name) {
            return Err(Error::Conflict(format!(
                "network with name {} already exists",
                record.name
            )));
        }
        // All but the subnets that are still to be chosen is judged before anything is made.
        define::definition(&record)?;
        let (fabric, mut chosen) = (Arc::clone(&self.network), record.clone());
        let twin = self.same_parent(&record).map(|n| n.adopted);
        record = blocking(move || {
            choose_subnets(&fabric, &mut chosen)?;
            // Known before anything is made: what was there is never removed, whatever happens.
            chosen.adopted = match (twin, define::definition(&chosen)?) {
                (Some(adopted), _) => adopted,
                (None, Some(definition)) => {
                    fabric.link_exists(&definition).map_err(Error::Fabric)?
                }
                (None, None) => false,
            };
            if let Some(definition) = define::definition(&chosen)?.filter(|_| chosen.adopted) {
                chosen.found = fabric.found(&definition).map_err(Error::Fabric)?;
            }
            Ok(chosen)
        })
        .await?;
        // The record comes first: what a crash leaves is then a network without links, which the next
        // daemon makes, and never links without a network.
        let id = record.id.clone();
        self.networks.save(record.clone()).await?;
        sys::failpoint!("engine.network.recorded");
        if let Some(definition) = define::definition(&record)? {
            let fabric = Arc::clone(&self.network);
            let made = blocking(move || fabric.add(&definition).map_err(Error::Fabric)).await;
            if let Err(error) = made {
                self.networks.forget(&id).await?;
                return Err(error);
            }
        }
        self.tell_of_network(&record, "create", None);
        Ok(NetworkCreated {
            id,
            warning: String::new(),
        })
    }

    /// Another network on the same link of the host's.
    fn same_parent(&self, record: &NetworkRecord) -> Option<Arc<NetworkRecord>> {
        let parent = |r: &NetworkRecord| r.options.get(option::PARENT).cloned();
        let own =
            parent(record).filter(|_| matches!(record.driver.as_str(), "macvlan" | "ipvlan"))?;
        let mut all = self.networks.all().into_iter();
        all.find(|n| !n.config_only && parent(n).as_ref() == Some(&own))
    }

    /// What is asked for, checked and completed but for subnets.
    fn draft(&self, wanted: NetworkCreate) -> Result<NetworkRecord> {
        let NetworkCreate {
            name,
            driver,
            scope,
            internal,
            attachable,
            ingress,
            config_only,
            config_from,
            ipam,
            enable_ipv4,
            enable_ipv6,
            mut options,
            labels,
        } = wanted;
        let driver = if driver.is_empty() {
            "bridge".to_owned()
        } else {
            driver
        };
        if RESERVED.contains(&name.as_str()) {
            return Err(Error::Forbidden(format!(
                "operation is not permitted on predefined {name} network"
            )));
        }
        // Docker takes every other name, odd ones and those of one letter too.
        if name.trim().is_empty() || name.contains(char::is_control) {
            return Err(Error::Invalid(format!("invalid name: {name:?}")));
        }
        // It takes them, too, but clients cannot ask for them any more.
        if matches!(name.as_str(), "." | "..") || name.starts_with('/') {
            return Err(Error::Invalid(format!(
                "invalid name: {name:?}: in the API's paths it would mean something else"
            )));
        }
        if ingress {
            return Err(Error::NotSupported(
                "an ingress network needs a swarm, which wharf does not have yet".into(),
            ));
        }
        if !matches!(scope.as_str(), "" | "local") {
            return Err(Error::NotSupported(format!(
                "networks of scope {scope} need a swarm, which wharf does not have yet"
            )));
        }
        check_driver(&driver, config_only)?;
        if config_from.as_ref().is_none_or(|f| f.network.is_empty()) {
            for (key, value) in self.default_options(&driver) {
                // What the request says itself, in whatever place, counts.
                let said = match key.as_str() {
                    option::ENABLE_IPV4 => enable_ipv4.is_some(),
                    option::ENABLE_IPV6 => enable_ipv6.is_some(),
                    _ => false,
                };
                if !said {
                    options.entry(key).or_insert(value);
                }
            }
        }
        let mut record = NetworkRecord {
            id: id::generate(),
            name,
            created: clock::now(),
            driver,
            internal,
            attachable,
            config_only,
            enable_ipv4: enable_ipv4.unwrap_or(true),
            enable_ipv6: enable_ipv6.unwrap_or(false),
            ipam: ipam.unwrap_or_default(),
            labels,
            ..NetworkRecord::default()
        };
        for (key, flag) in [
            (option::ENABLE_IPV4, &mut record.enable_ipv4),
            (option::ENABLE_IPV6, &mut record.enable_ipv6),
        ] {
            *flag = Options(&options).flag(key, *flag)?;
            options.remove(key);
        }
        record.options = options;
        if let Some(from) = config_from.filter(|f| !f.network.is_empty()) {
            self.copy_from(&mut record, &from.network)?;
        }
        if !config_only {
            Options(&record.options).check(&record.driver)?;
        }
        check_ipam(&mut record)?;
        Ok(record)
    }

    /// Takes everything but name and driver from a network that is only there for that.
    fn copy_from(&self, record: &mut NetworkRecord, from: &str) -> Result<()> {
        let source = self.networks.find(from)?;
        if !source.config_only {
            return Err(Error::Forbidden(format!(
                "configuration network {} is not a config-only network",
                source.name
            )));
        }
        let own = !record.options.is_empty() || !record.ipam.config.is_empty();
        if own || record.config_only || record.internal || record.enable_ipv6 {
            return Err(Error::Forbidden(
                "user specified configurations are not supported if the network depends on a \
                 configuration network"
                    .into(),
            ));
        }
        record.config_from.clone_from(&source.name);
        record.ipam.clone_from(&source.ipam);
        record.options.clone_from(&source.options);
        record.internal = source.internal;
        (record.enable_ipv4, record.enable_ipv6) = (source.enable_ipv4, source.enable_ipv6);
        for (key, value) in &source.labels {
            let label = record.labels.entry(key.clone());
            label.or_insert_with(|| value.clone());
        }
        Ok(())
    }

    /// Removes a network that no running container is in.
    ///
    /// # Errors
    /// When there is none, it is one that is always there, or containers are in it.
    pub async fn remove_network(self: &Arc<Self>, name: &str) -> Result<()> {
        let _gate = self.networks.gate.lock().await;
        let record = self.networks.find(name)?;
        self.remove_found_network(&record).await
    }

    async fn remove_found_network(self: &Arc<Self>, record: &NetworkRecord) -> Result<()> {
        if record.is_predefined() {
            return Err(Error::Forbidden(format!(
                "{} is a pre-defined network and cannot be removed",
                record.name
            )));
        }
        let members = self.members(&record.id);
        if !members.is_empty() {
            let all = members.iter().map(|(id, m)| {
                let id = id::short(id);
                format!("name:\"{}\" id:\"{id}\"", m.name)
            });
            return Err(Error::Forbidden(format!(
                "error while removing network: network {} has active endpoints ({})",
                record.name,
                all.collect::<Vec<_>>().join(", ")
            )));
        }
        let dependent = |n: &Arc<NetworkRecord>| n.config_from == record.name;
        if record.config_only && self.networks.all().iter().any(dependent) {
            return Err(Error::Forbidden(format!(
                "configuration network {:?} is in use",
                record.name
            )));
        }
        let (fabric, id, adopted) = (Arc::clone(&self.network), record.id.clone(), record.adopted);
        blocking(move || fabric.remove(&id, adopted).map_err(Error::Fabric)).await?;
        sys::failpoint!("engine.network.removed");
        // The record goes last: what a crash leaves can be removed again.
        self.networks.forget(&record.id).await?;
        self.tell_of_network(record, "destroy", None);
        Ok(())
    }

    /// Removes the networks of users' own that `filters` (`label`, `label!`) let through, made before
    /// `until` (nanoseconds since the epoch), and that no container is in, running or not; names of
    /// those that are gone.
    ///
    /// # Errors
    /// None as yet: what cannot be removed stays.
    pub async fn prune_networks(
        self: &Arc<Self>,
        filters: &Filters,
        until: Option<i64>,
    ) -> Result<Vec<String>> {
        let _gate = self.networks.gate.lock().await;
        let mut gone = Vec::new();
        for record in self.networks.all() {
            let young = until.is_some_and(|until| {
                clock::unix(&record.created).saturating_mul(1_000_000_000) >= until
            });
            if record.is_predefined()
                || record.config_only
                || young
                || !labels_pass(&record.labels, filters)
                || self.is_wanted(&record.id)
            {
                continue;
            }
            // One that is in use meanwhile stays.
            if self.remove_found_network(&record).await.is_ok() {
                gone.push(record.name.clone());
            }
        }
        self.events.tell(
            "network",
            "prune",
            "",
            [("reclaimed".to_owned(), "0".to_owned())].into(),
        );
        Ok(gone)
    }

    /// Whether a container has it, running or not.
    pub(crate) fn is_wanted(&self, network: &str) -> bool {
        let all = crate::sync::lock(&self.containers).all();
        all.iter()
            .any(|c| c.with_record(|r| r.networks.contains_key(network)))
    }

    /// Tells what happened to a network, with the container that it happened to.
    pub(crate) fn tell_of_network(
        &self,
        record: &NetworkRecord,
        action: &str,
        container: Option<&str>,
    ) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), record.name.clone()),
            ("type".to_owned(), record.driver.clone()),
        ]);
        if let Some(container) = container {
            attributes.insert("container".to_owned(), container.to_owned());
        }
        self.events.tell("network", action, &record.id, attributes);
    }
}

pub(super) fn check_driver(driver: &str, config_only: bool) -> Result<()> {
    match driver {
        "bridge" | "macvlan" | "ipvlan" => Ok(()),
        "host" | "null" if !config_only => Err(Error::Forbidden(format!(
            "only one instance of \"{driver}\" network is allowed"
        ))),
        "overlay" => Err(Error::NotSupported(
            "networks of the driver overlay need a swarm, which wharf does not have yet".into(),
        )),
        other => Err(Error::NoSuchPlugin(other.to_owned())),
    }
}

/// Checks what is said of subnets, and gives each its usual form.
fn check_ipam(record: &mut NetworkRecord) -> Result<()> {
    let ipam = &mut record.ipam;
    match ipam.driver.as_str() {
        "" => "default".clone_into(&mut ipam.driver),
        "default" => {}
        other => return Err(Error::NoSuchPlugin(other.to_owned())),
    }
    if let Some(key) = ipam.options.iter().flatten().map(|(k, _)| k).next() {
        return Err(Error::Invalid(format!(
            "the IPAM driver default has no option {key}"
        )));
    }
    if !record.enable_ipv4 && !record.enable_ipv6 {
        return Err(Error::Invalid(
            "IPv4 or IPv6 must be enabled for a network".into(),
        ));
    }
    let mut spaces: Vec<AddressSpace> = Vec::new();
    for config in &mut ipam.config {
        if config.subnet.is_empty() {
            if config.gateway.is_empty()
                && config.ip_range.is_empty()
                && config.auxiliary_addresses.is_empty()
            {
                continue;
            }
            return Err(Error::Invalid(
                "invalid network config: a gateway, an ip-range or an auxiliary address needs the \
                 subnet that it is in"
                    .into(),
            ));
        }
        let space = define::space(config)?;
        if space.subnet.prefix == if space.subnet.is_ipv4() { 32 } else { 128 } {
            return Err(Error::Invalid(format!(
                "invalid network config: subnet {} has no room for a gateway and a container",
                space.subnet
            )));
        }
        if let Some(other) = spaces.iter().find(|s| s.subnet.overlaps(space.subnet)) {
            return Err(Error::Invalid(format!(
                "invalid network config: subnet {} overlaps {}",
                space.subnet, other.subnet
            )));
        }
        let ipv4 = space.subnet.is_ipv4();
        if ipv4 && !record.enable_ipv4 || !ipv4 && !record.enable_ipv6 {
            return Err(Error::Invalid(format!(
                "invalid network config: subnet {} is IPv{}, which is not enabled for the network",
                space.subnet,
                if ipv4 { 4 } else { 6 }
            )));
        }
        check_reserved(config, &space)?;
        config.subnet = space.subnet.to_string();
        if let Some(range) = space.range {
            config.ip_range = range.to_string();
        }
        spaces.push(space);
    }
    ipam.config.retain(|c| !c.subnet.is_empty());
    record.own_subnets = !spaces.is_empty();
    Ok(())
}

/// Refuses subnets that no link can have, and addresses that are taken twice.
fn check_reserved(config: &IpamConfig, space: &AddressSpace) -> Result<()> {
    if !space.subnet.is_possible() {
        return Err(Error::Invalid(format!(
            "invalid network config: no link can have addresses of the subnet {}",
            space.subnet
        )));
    }
    let taken = |what: String| Error::Forbidden(format!("{what}: Address already in use"));
    if let Some(gateway) = space.gateway.filter(|ip| space.subnet.is_own(*ip)) {
        return Err(taken(format!("failed to allocate gateway ({gateway})")));
    }
    let mut seen = Vec::from_iter(space.gateway);
    for (name, text) in &config.auxiliary_addresses {
        let Ok(ip) = text.parse() else { continue };
        if seen.contains(&ip) || space.subnet.is_own(ip) {
            return Err(taken(format!(
                "failed to allocate secondary ip address ({name}:{ip})"
            )));
        }
        seen.push(ip);
    }
    Ok(())
}

/// Gives the network subnets of its families where it names none, and each subnet its gateway.
fn choose_subnets(fabric: &network::Fabric, record: &mut NetworkRecord) -> Result<()> {
    if record.config_only {
        return Ok(());
    }
    let options = Options(&record.options);
    for (ipv4, wanted) in [(true, record.enable_ipv4), (false, record.enable_ipv6)] {
        let has = |c: &IpamConfig| c.subnet.contains(':') != ipv4;
        if !wanted || record.ipam.config.iter().any(has) {
            continue;
        }
        let subnet = match fabric.free_subnet(ipv4, None, &[]) {
            Err(network::Error::NoSubnet) if !ipv4 => {
                let random = u64::from_str_radix(&record.id[..14], 16).unwrap_or_default();
                Subnet::unique_local(random)
            }
            other => other.map_err(Error::Fabric)?,
        };
        let config = IpamConfig {
            subnet: subnet.to_string(),
            ..IpamConfig::default()
        };
        record.ipam.config.push(config);
    }
    // Clients take the first for IPv4's.
    record.ipam.config.sort_by_key(|c| c.subnet.contains(':'));
    let isolated = |ipv4| {
        let key = if ipv4 {
            option::GATEWAY_IPV4
        } else {
            option::GATEWAY_IPV6
        };
        options.text(key) == Some("isolated")
    };
    for config in &mut record.ipam.config {
        let space = define::space(config)?;
        if config.gateway.is_empty() && !isolated(space.subnet.is_ipv4()) {
            let first = gateway(&space).ok_or_else(|| {
                Error::Invalid(format!(
                    "invalid network config: subnet {} has no address left for a gateway",
                    space.subnet
                ))
            })?;
            config.gateway = first;
        }
    }
    Ok(())
}

/// The first address that nobody has: of the range, if there is one, as Docker has it.
fn gateway(space: &AddressSpace) -> Option<String> {
    let first = space.range.unwrap_or(space.subnet).first_host();
    let mut candidate = Some(first);
    for _ in 0..=space.reserved.len() {
        let ip = candidate.filter(|ip| space.subnet.contains(*ip))?;
        if !space.reserved.contains(&ip) {
            return Some(ip.to_string());
        }
        candidate = match ip {
            std::net::IpAddr::V4(ip) => u32::from(ip)
                .checked_add(1)
                .map(|n| std::net::Ipv4Addr::from(n).into()),
            std::net::IpAddr::V6(ip) => u128::from(ip)
                .checked_add(1)
                .map(|n| std::net::Ipv6Addr::from(n).into()),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use types::network::Ipam;

    use super::*;

    fn plain(subnet: &str) -> Ipam {
        Ipam {
            config: vec![IpamConfig {
                subnet: subnet.to_owned(),
                ..IpamConfig::default()
            }],
            ..Ipam::default()
        }
    }

    fn record(subnet: &str) -> NetworkRecord {
        NetworkRecord {
            enable_ipv4: true,
            ipam: plain(subnet),
            ..NetworkRecord::default()
        }
    }

    #[test]
    fn subnets_get_their_usual_form() {
        let mut given = record("10.1.2.3/24");
        check_ipam(&mut given).unwrap();
        assert_eq!(given.ipam.config[0].subnet, "10.1.2.0/24");
        assert!(given.own_subnets);
        let mut none = record("");
        check_ipam(&mut none).unwrap();
        assert!(none.ipam.config.is_empty() && !none.own_subnets);
        for bad in ["10.1.2.3", "10.1.2.0/33", "fd00::/64", "x"] {
            assert!(check_ipam(&mut record(bad)).is_err(), "{bad}");
        }
        let mut twice = record("10.0.0.0/8");
        twice.ipam.config.extend(plain("10.9.0.0/16").config);
        let error = check_ipam(&mut twice).unwrap_err().to_string();
        assert!(error.contains("overlaps"), "{error}");
    }

    #[test]
    fn gateways_avoid_what_is_reserved() {
        let mut space = AddressSpace::of(Subnet::parse("10.0.0.0/24").unwrap());
        assert_eq!(gateway(&space).as_deref(), Some("10.0.0.1"));
        space.reserved = ["10.0.0.1", "10.0.0.2"]
            .map(|ip| ip.parse().unwrap())
            .to_vec();
        assert_eq!(gateway(&space).as_deref(), Some("10.0.0.3"));
        space.range = Some(Subnet::parse("10.0.0.64/26").unwrap());
        assert_eq!(gateway(&space).as_deref(), Some("10.0.0.65"));
    }
}
