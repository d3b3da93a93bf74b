//! What is known of containers with a network of the user's own, and what follows from it for the
//! name server. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    os::fd::OwnedFd,
};

use resolver::{Asker, Endpoint, Network, SingleLabels, Subnet, Upstream};

/// A running container's descriptors.
#[derive(Debug)]
pub(crate) struct Life {
    /// Its network namespace.
    pub namespace: OwnedFd,
    /// Its shim or its first process, a pidfd: readable when the container is over.
    pub process: OwnedFd,
}

/// How a container's questions are answered, whatever its networks are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `--link db:database`: `database` stands for a name of `db`.
    pub links: BTreeMap<String, String>,
    /// Who is asked what its networks do not know.
    pub upstreams: Vec<Upstream>,
    /// What becomes of unknown names without a dot.
    pub single_labels: SingleLabels,
}

/// A network as the name server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone {
    /// The network's name.
    pub name: String,
    /// Its addresses.
    pub subnets: Vec<Subnet>,
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The network's id.
    pub network: String,
    /// Nothing for networks without names: the default bridge.
    pub zone: Option<Zone>,
    /// Whether the network leads outside: not if it is internal.
    pub outside: bool,
    /// What the container is called there; its own name first, which reverse questions are answered
    /// with.
    pub names: Vec<String>,
    /// Its addresses there.
    pub addresses: Vec<IpAddr>,
}

/// A container with a network of the user's own.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) life: Life,
    settings: Settings,
    members: Vec<Member>,
}

impl Held {
    pub(crate) fn new(life: Life, settings: Settings, members: Vec<Member>) -> Self {
        Self {
            life,
            settings,
            members,
        }
    }

    /// It is in that network now, like this.
    pub(super) fn join(&mut self, member: Member, links: BTreeMap<String, String>) {
        self.settings.links = links;
        let same = |m: &&mut Member| m.network == member.network;
        match self.members.iter_mut().find(same) {
            Some(place) => *place = member,
            None => self.members.push(member),
        }
    }

    /// It is not in that network any more.
    pub(super) fn leave(&mut self, network: &str, links: BTreeMap<String, String>) {
        self.settings.links = links;
        self.members.retain(|m| m.network != network);
    }

    /// What its questions are answered from.
    pub(super) fn asker(&self, id: &str) -> Asker {
        let zones = self.members.iter().filter(|m| m.zone.is_some());
        Asker {
            id: id.to_owned(),
            networks: zones.map(|m| m.network.clone()).collect(),
            links: self.settings.links.clone(),
            // Names carry data out as well as packets do.
            forward: self.members.iter().any(|m| m.outside),
            upstreams: self.settings.upstreams.clone(),
            single_labels: self.settings.single_labels,
        }
    }

    /// Its names, by network.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&str, &Zone, Endpoint)> {
        self.members.iter().filter_map(|member| {
            let endpoint = Endpoint {
                names: member.names.clone(),
                addresses: member.addresses.clone(),
            };
            Some((member.network.as_str(), member.zone.as_ref()?, endpoint))
        })
    }

    fn is_in(&self, network: &str) -> bool {
        let mut zones = self.members.iter().filter(|m| m.zone.is_some());
        zones.any(|m| m.network == network)
    }
}

/// All networks with the names of all containers in them.
pub(super) fn networks(all: &BTreeMap<String, Held>) -> Vec<Network> {
    let mut networks: BTreeMap<&str, Network> = BTreeMap::new();
    for (id, held) in all {
        for (network, zone, endpoint) in held.endpoints() {
            let known = networks.entry(network).or_insert_with(|| Network {
                id: network.to_owned(),
                name: zone.name.clone(),
                subnets: zone.subnets.clone(),
                endpoints: BTreeMap::new(),
            });
            known.endpoints.insert(id.clone(), endpoint);
        }
    }
    networks.into_values().collect()
}

/// Those of `networks` that nobody is in.
pub(super) fn empty<'a>(
    networks: impl IntoIterator<Item = &'a str>,
    all: &BTreeMap<String, Held>,
) -> BTreeSet<&'a str> {
    let used = |network: &&str| !all.values().any(|held| held.is_in(network));
    networks.into_iter().filter(used).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(network: &str, outside: bool, address: &str) -> Member {
        Member {
            network: network.into(),
            zone: Some(Zone {
                name: format!("{network}_default"),
                subnets: Vec::new(),
            }),
            outside,
            names: vec!["web".into(), "app".into()],
            addresses: vec![address.parse().unwrap()],
        }
    }

    fn held(members: Vec<Member>) -> Held {
        let life = Life {
            namespace: std::fs::File::open("/dev/null").unwrap().into(),
            process: std::fs::File::open("/dev/null").unwrap().into(),
        };
        Held::new(life, Settings::default(), members)
    }

    #[test]
    fn only_those_with_a_way_out_may_ask_outside() {
        let mut one = held(vec![member("a", false, "10.0.0.2")]);
        assert!(!one.asker("1").forward);
        let bridge = Member {
            zone: None,
            ..member("bridge", true, "172.17.0.2")
        };
        one.join(bridge, BTreeMap::new());
        let asker = one.asker("1");
        assert!(asker.forward);
        assert_eq!(asker.networks, ["a"]);
        one.leave("bridge", BTreeMap::new());
        assert!(!one.asker("1").forward);
        one.leave("a", BTreeMap::new());
        // Without a network there is no way out either.
        assert!(!one.asker("1").forward);
    }

    #[test]
    fn networks_hold_the_names_of_all() {
        let mut all = BTreeMap::new();
        all.insert("1".to_owned(), held(vec![member("a", true, "10.0.0.2")]));
        let two = vec![member("a", true, "10.0.0.3"), member("b", true, "10.0.1.3")];
        all.insert("2".to_owned(), held(two));
        let names = networks(&all);
        let short: Vec<_> = names
            .iter()
            .map(|n| (n.id.as_str(), n.endpoints.keys().collect::<Vec<_>>()))
            .map(|(id, keys)| format!("{id}: {keys:?}"))
            .collect();
        assert_eq!(short, ["a: [\"1\", \"2\"]", "b: [\"2\"]"]);
        assert_eq!(names[0].name, "a_default");
        // Connected again, with another address.
        all.get_mut("2")
            .unwrap()
            .join(member("a", true, "10.0.0.9"), BTreeMap::new());
        let again = networks(&all);
        let two = &again[0].endpoints["2"].addresses;
        assert_eq!(two, &["10.0.0.9".parse::<IpAddr>().unwrap()]);
        all.remove("2");
        assert_eq!(empty(["a", "b"], &all), BTreeSet::from(["b"]));
    }
}
