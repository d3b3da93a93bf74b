//! What containers are called in their networks, told to the name server as it changes.

use std::{collections::BTreeMap, fs, os::fd::OwnedFd, process::Child};

use network::Subnet;
use resolver::Subnet as Range;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Attachments, NetworkRecord, Place, choose};
use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    inspect::dns_names,
    links,
    names::{Life, Member, Named, Settings, Zone},
    network_mode::NetworkMode,
    record::Record,
    sync::lock,
};

impl Engine {
    /// Is the container in a network in which containers have names? Then 127.0.0.11 answers it.
    pub(crate) fn has_names(&self, record: &Record) -> bool {
        let mut networks = record
            .networks
            .keys()
            .filter_map(|id| self.networks.get(id));
        networks.any(|network| !network.is_predefined())
    }

    /// The names of a container that is about to start, and how its questions are answered.
    pub(crate) fn name_starting(
        &self,
        record: &Record,
        place: &Place,
        settings: Settings,
        netns: &OwnedFd,
        shim: &Child,
    ) -> Result<()> {
        let what = || format!("give container {} names", record.id);
        let life = Life {
            namespace: netns.try_clone().map_err(Error::io(what()))?,
            process: pidfd_open(Pid::from_child(shim), PidfdFlags::empty())
                .map_err(|e| Error::io(what())(e.into()))?,
        };
        let named = self.named(record, place, life, settings)?;
        self.names.started(&record.id, named)
    }

    /// A running container has been put into a network.
    pub(super) fn name_joined(&self, container: &Container, network: &NetworkRecord) -> Result<()> {
        let record = container.record();
        let place = lock(&container.place).clone();
        if self.names.serves(&record.id) {
            let links = self.own_links(&record.networks);
            return match self.member(&record, &place, network) {
                Some(member) => self.names.joined(&record.id, member, links),
                None => Ok(()),
            };
        }
        if network.is_predefined() {
            return Ok(());
        }
        let life = self.life(&record.id, container.state().pid())?;
        let (text, settings) = self.named_resolv_conf(&record);
        let named = self.named(&record, &place, life, settings)?;
        self.names.started(&record.id, named)?;
        // A file that its user has changed is left as it is.
        let path = container.data_dir.join("resolv.conf");
        let ours = self.resolv_conf(&record)?;
        match fs::read_to_string(&path) {
            Ok(now) if now == ours => {
                fs::write(&path, text).map_err(Error::path("write", &path))?;
            }
            Ok(_) => tracing::warn!(
                container = %record.id,
                "its /etc/resolv.conf was changed: it does not name the name server of its networks"
            ),
            Err(error) => return Err(Error::path("read", &path)(error)),
        }
        Ok(())
    }

    /// A running container is being taken out of a network.
    pub(super) fn name_left(&self, container: &Container, network: &NetworkRecord) -> Result<()> {
        let links = self.own_links(&container.record().networks);
        self.names.left(&container.id, &network.id, links)
    }

    /// A container has another name, or other aliases.
    pub(crate) fn name_changed(&self, container: &Container) -> Result<()> {
        if !self.names.serves(&container.id) {
            return Ok(());
        }
        let record = container.record();
        let place = lock(&container.place).clone();
        for network in record
            .networks
            .keys()
            .filter_map(|id| self.networks.get(id))
        {
            if let Some(member) = self.member(&record, &place, &network) {
                let links = self.own_links(&record.networks);
                self.names.joined(&record.id, member, links)?;
            }
        }
        Ok(())
    }

    /// Whether a container was told to ask our name server: it goes on doing so when it has left the last
    /// network that has names.
    fn asks_us(&self, record: &Record) -> bool {
        let dir = self.config.data_root.join("containers").join(&record.id);
        let text = std::fs::read_to_string(dir.join("resolv.conf")).unwrap_or_default();
        text.lines().any(|line| line == "nameserver 127.0.0.11")
    }

    /// The names of a container that an earlier daemon started; nothing, if it has none.
    pub(crate) fn name_living(&self, record: &Record, pid: u32, place: &Place) -> Option<Named> {
        if !self.has_names(record) && !self.asks_us(record) {
            return None;
        }
        let (_, settings) = self.named_resolv_conf(record);
        let life = self.life(&record.id, pid);
        match life.and_then(|life| self.named(record, place, life, settings)) {
            Ok(named) => Some(named),
            Err(error) => {
                tracing::warn!(container = %record.id, %error, "it has no names");
                None
            }
        }
    }

    fn named(
        &self,
        record: &Record,
        place: &Place,
        life: Life,
        settings: Settings,
    ) -> Result<Named> {
        let joined = self.joined(&record.networks, &NetworkMode::of(&record.host_config)?)?;
        let members = joined
            .iter()
            .filter_map(|j| self.member(record, place, &j.network));
        let settings = Settings {
            links: self.own_links(&record.networks),
            ..settings
        };
        Ok(Named::new(life, settings, members.collect()))
    }

    /// A container's place in a network; nothing where it is not (yet).
    fn member(&self, record: &Record, place: &Place, network: &NetworkRecord) -> Option<Member> {
        let attachment = record.networks.get(&network.id)?;
        let endpoint = place.endpoints.get(&network.id)?;
        let zone = (!network.is_predefined()).then(|| Zone {
            name: network.name.clone(),
            subnets: subnets(network),
        });
        Some(Member {
            network: network.id.clone(),
            zone,
            outside: choose::leads_out(network, true) || choose::leads_out(network, false),
            names: dns_names(record, &attachment.settings),
            addresses: endpoint.addresses().collect(),
        })
    }

    /// `--link` in networks of users' own: names that the container alone uses. They stand for the
    /// others' short identifiers, as names move on.
    fn own_links(&self, attachments: &Attachments) -> BTreeMap<String, String> {
        let all = attachments.values();
        let texts = all.flat_map(|a| a.settings.links.iter().flatten());
        let links = texts.filter_map(|text| links::parse(text).ok());
        links
            .map(|(name, alias)| {
                let known = self.find(&name);
                let stays = known.map_or(name, |other| types::id::short(&other.id).to_owned());
                (alias.to_ascii_lowercase(), stays)
            })
            .collect()
    }

    /// Descriptors of a container that runs, whose first process has this number.
    fn life(&self, id: &str, pid: u32) -> Result<Life> {
        let what = || format!("give container {id} names");
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| Error::NotRunning(id.to_owned()))?;
        // In this order: a process that is the container's after it was opened was so before.
        let process = pidfd_open(number, PidfdFlags::empty());
        let process = process.map_err(|e| Error::io(what())(e.into()))?;
        let namespace = self.namespace_of(id, pid, sys::namespace::Kind::Network)?;
        Ok(Life { namespace, process })
    }
}

fn subnets(network: &NetworkRecord) -> Vec<Range> {
    let all = network.ipam.config.iter();
    let parsed = all.filter_map(|config| Subnet::parse(&config.subnet).ok());
    let range = |subnet: Subnet| Range {
        address: subnet.network(),
        prefix: subnet.prefix,
    };
    parsed.map(range).collect()
}
