//! Networks: those that are always there and those of users' own; which containers are in them.

mod choose;
mod create;
mod default;
mod define;
mod firewall;
mod join;
mod keeper;
mod naming;
mod settings;
mod show;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use types::{container::EndpointSettings, network::Ipam};

use crate::{
    Engine,
    error::{Error, Result},
    inspect::network_id,
    records::{Records, Table},
    sync::lock,
};

pub(crate) use default::record as default_record;
pub use default::{DefaultAddresses, DefaultBridge, check_network_options};
pub(crate) use define::option;
pub(crate) use wire::Place;

/// A network's definition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    pub id: String,
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// `bridge`, `macvlan`, `ipvlan`, `host` or `null`.
    pub driver: String,
    pub internal: bool,
    pub attachable: bool,
    /// Only there for others to be made like it.
    pub config_only: bool,
    /// The one it was made like.
    pub config_from: String,
    pub enable_ipv4: bool,
    pub enable_ipv6: bool,
    /// With the subnets that it has, whoever chose them.
    pub ipam: Ipam,
    /// Whether the user chose them: only then may containers choose their addresses.
    pub own_subnets: bool,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Its link was there before it, and stays after it.
    pub adopted: bool,
    /// What that link, a bridge, had before. Not known of networks that an earlier wharf made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<network::Found>,
}

impl NetworkRecord {
    /// Whether it is one of the three that are always there.
    pub(crate) fn is_predefined(&self) -> bool {
        matches!(self.name.as_str(), BRIDGE | "host" | "none")
    }
}

impl NetworkRecord {
    /// One of the three that are always there.
    fn predefined(name: &str, driver: &str, opened: &str) -> Self {
        Self {
            id: network_id(name),
            name: name.to_owned(),
            created: opened.to_owned(),
            driver: driver.to_owned(),
            enable_ipv4: true,
            ipam: Ipam {
                driver: "default".to_owned(),
                ..Ipam::default()
            },
            adopted: true,
            ..Self::default()
        }
    }

    /// Whether those in it have no link of it: `none` and `host`.
    pub(crate) fn is_linkless(&self) -> bool {
        matches!(self.driver.as_str(), "null" | "host")
    }
}

/// What a container is in, and what it asks of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Attachment {
    /// The network's name, as it was then.
    pub name: String,
    pub settings: EndpointSettings,
}

/// By the network's identifier.
pub(crate) type Attachments = BTreeMap<String, Attachment>;

/// The name of the default network.
pub(crate) const BRIDGE: &str = "bridge";

/// The networks of one daemon.
pub(crate) struct Networks {
    records: Records,
    known: Mutex<BTreeMap<String, Arc<NetworkRecord>>>,
    /// Held while one is made or removed: names and subnets have one owner.
    gate: tokio::sync::Mutex<()>,
}

/// The subnets of all networks on record.
pub(crate) async fn recorded_subnets(records: &Records) -> Result<Vec<network::Subnet>> {
    let all = records.all::<NetworkRecord>(Table::Networks).await?;
    let configs = all.iter().flat_map(|n| &n.ipam.config);
    Ok(configs
        .filter_map(|c| network::Subnet::parse(&c.subnet).ok())
        .collect())
}

impl Networks {
    /// Those on record, and the three that are always there.
    pub(crate) async fn open(
        records: Records,
        default: Option<NetworkRecord>,
        opened: &str,
    ) -> Result<Self> {
        let mut known: BTreeMap<String, Arc<NetworkRecord>> = BTreeMap::new();
        for record in records.all::<NetworkRecord>(Table::Networks).await? {
            known.insert(record.id.clone(), Arc::new(record));
        }
        for (name, driver) in [("host", "host"), ("none", "null")] {
            let record = NetworkRecord::predefined(name, driver, opened);
            known.insert(record.id.clone(), Arc::new(record));
        }
        known.extend(default.map(|record| (record.id.clone(), Arc::new(record))));
        Ok(Self {
            records,
            known: Mutex::new(known),
            gate: tokio::sync::Mutex::default(),
        })
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<NetworkRecord>> {
        let mut all: Vec<_> = lock(&self.known).values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The one with this identifier.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<NetworkRecord>> {
        lock(&self.known).get(id).cloned()
    }

    /// One by its name, its identifier or the unique beginning of that.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<NetworkRecord>> {
        let name = if name == "default" { BRIDGE } else { name };
        let known = lock(&self.known);
        if let Some(exact) = known
            .get(name)
            .or_else(|| known.values().find(|n| n.name == name))
        {
            return Ok(Arc::clone(exact));
        }
        let mut fitting = known
            .values()
            .filter(|n| !name.is_empty() && n.id.starts_with(name));
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Ok(Arc::clone(one)),
            (Some(_), Some(_)) => Err(Error::Invalid(format!(
                "network {name} is ambiguous (2 matches found on name or ID prefix)"
            ))),
            (None, _) => Err(Error::NoSuchNetwork(name.to_owned())),
        }
    }

    async fn save(&self, record: NetworkRecord) -> Result<Arc<NetworkRecord>> {
        self.records
            .put(Table::Networks, &record.id, &record)
            .await?;
        let record = Arc::new(record);
        lock(&self.known).insert(record.id.clone(), Arc::clone(&record));
        Ok(record)
    }

    async fn forget(&self, id: &str) -> Result<()> {
        self.records.remove(Table::Networks, id).await?;
        lock(&self.known).remove(id);
        Ok(())
    }
}

impl Engine {
    /// Makes the links of all networks that are on record, before anything runs again.
    pub(crate) async fn load_networks(&self) -> Result<()> {
        let fabric = Arc::clone(&self.network);
        let mut definitions = Vec::new();
        for record in self.networks.all() {
            definitions.extend(define::definition(&record)?);
        }
        crate::blocking(move || {
            for definition in definitions {
                if let Err(error) = fabric.load(&definition) {
                    if definition.name == BRIDGE {
                        return Err(error.into());
                    }
                    // The others' containers go on. Those of this one say why they cannot start.
                    tracing::error!(network = definition.name, %error, "cannot be set up");
                }
            }
            Ok(())
        })
        .await
    }
}
