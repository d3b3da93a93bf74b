//! The names of all networks, ready to be looked up.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::{Asker, Endpoint, Network};

/// All networks, by id.
#[derive(Debug, Default)]
pub(crate) struct Zones(HashMap<String, Zone>);

#[derive(Debug, Default)]
struct Zone {
    network: Network,
    /// The network's name, as names are compared.
    suffix: String,
    names: HashMap<String, Vec<IpAddr>>,
    reverse: HashMap<IpAddr, String>,
}

/// What is known of an address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reverse {
    /// The name of what has it.
    Name(String),
    /// It lies in a network of the asker's, and nobody has it.
    Nobody,
    /// It lies elsewhere.
    Elsewhere,
}

impl Zones {
    /// Puts a network in the place of what is known of it.
    pub(crate) fn set(&mut self, network: Network) {
        let mut zone = Zone {
            suffix: network.name.to_ascii_lowercase(),
            ..Zone::default()
        };
        for endpoint in network.endpoints.values() {
            zone.add(endpoint);
        }
        zone.network = network;
        self.0.insert(zone.network.id.clone(), zone);
    }

    /// Forgets a network.
    pub(crate) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// Adds an endpoint to a network, or puts it in the place of the one with its key; false if
    /// there is no such network.
    pub(crate) fn set_endpoint(&mut self, network: &str, key: String, endpoint: Endpoint) -> bool {
        let Some(zone) = self.0.get_mut(network) else {
            return false;
        };
        zone.take(&key);
        zone.add(&endpoint);
        zone.network.endpoints.insert(key, endpoint);
        true
    }

    /// Takes an endpoint out of a network.
    pub(crate) fn remove_endpoint(&mut self, network: &str, key: &str) {
        if let Some(zone) = self.0.get_mut(network) {
            zone.take(key);
        }
    }

    /// Takes it out of all networks; true if it was in any.
    pub(crate) fn remove_everywhere(&mut self, key: &str) -> bool {
        let all = self.0.values_mut();
        all.fold(false, |any, zone| zone.take(key) | any)
    }

    /// Forgets all networks but these.
    pub(crate) fn retain(&mut self, ids: &[String]) {
        self.0.retain(|id, _| ids.contains(id));
    }

    /// All networks, in an order that is always the same.
    pub(crate) fn networks(&self) -> Vec<&Network> {
        let mut all: Vec<_> = self.0.values().map(|zone| &zone.network).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    fn of<'a>(&'a self, asker: &'a Asker) -> impl Iterator<Item = &'a Zone> {
        asker.networks.iter().filter_map(|id| self.0.get(id))
    }

    /// The addresses that `name` (lower case, no dot at its end) has for the asker, those that
    /// `wanted` picks; nothing if there is no such name.
    pub(crate) fn addresses(
        &self,
        asker: &Asker,
        name: &str,
        wanted: impl Fn(&IpAddr) -> bool,
    ) -> Option<Vec<IpAddr>> {
        let name = asker
            .links
            .get(name)
            .map_or_else(|| name.into(), |target| target.to_ascii_lowercase());
        let mut known = false;
        for zone in self.of(asker) {
            let Some(all) = zone.find(&name) else {
                continue;
            };
            known = true;
            let picked: Vec<_> = all.iter().copied().filter(|ip| wanted(ip)).collect();
            if !picked.is_empty() {
                return Some(picked);
            }
        }
        known.then(Vec::new)
    }

    /// The name of an address, if it is in a network of the asker's.
    pub(crate) fn reverse(&self, asker: &Asker, ip: IpAddr) -> Reverse {
        let mut ours = false;
        for zone in self.of(asker) {
            if let Some(name) = zone.reverse.get(&ip) {
                return Reverse::Name(format!("{name}.{}", zone.network.name));
            }
            ours |= zone.network.subnets.iter().any(|s| s.contains(ip));
        }
        if ours {
            Reverse::Nobody
        } else {
            Reverse::Elsewhere
        }
    }
}

impl Zone {
    /// A name, plain or with the network's name behind it; either may have dots.
    fn find(&self, name: &str) -> Option<&Vec<IpAddr>> {
        self.names.get(name).or_else(|| {
            let plain = name.strip_suffix(&self.suffix)?.strip_suffix('.')?;
            self.names.get(plain)
        })
    }

    fn add(&mut self, endpoint: &Endpoint) {
        for name in &endpoint.names {
            let all = self.names.entry(name.to_ascii_lowercase()).or_default();
            for ip in &endpoint.addresses {
                if !all.contains(ip) {
                    all.push(*ip);
                }
            }
        }
        if let Some(name) = endpoint.names.first() {
            for ip in &endpoint.addresses {
                self.reverse.insert(*ip, name.clone());
            }
        }
    }

    /// Takes an endpoint and all that it alone stood for out.
    fn take(&mut self, key: &str) -> bool {
        let Some(gone) = self.network.endpoints.remove(key) else {
            return false;
        };
        for name in &gone.names {
            self.names.remove(&name.to_ascii_lowercase());
        }
        for ip in &gone.addresses {
            self.reverse.remove(ip);
        }
        // Others may have had the same names or, for a moment, the same address.
        let shared = |other: &&Endpoint| {
            let has = |name: &String| gone.names.iter().any(|n| n.eq_ignore_ascii_case(name));
            other.names.iter().any(has)
                || other.addresses.iter().any(|ip| gone.addresses.contains(ip))
        };
        let others: Vec<_> = self
            .network
            .endpoints
            .values()
            .filter(shared)
            .cloned()
            .collect();
        for other in &others {
            self.add(other);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(names: &[&str], addresses: &[&str]) -> Endpoint {
        Endpoint {
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        }
    }

    fn zones() -> (Zones, Asker) {
        let mut zones = Zones::default();
        let front = [
            ("1", endpoint(&["Web", "app"], &["10.1.0.2", "fd01::2"])),
            ("2", endpoint(&["web2", "app"], &["10.1.0.3"])),
        ];
        zones.set(Network {
            id: "a".into(),
            name: "front.net".into(),
            endpoints: front.map(|(k, e)| (k.to_owned(), e)).into(),
            subnets: vec![Subnet {
                address: "10.1.0.0".parse().unwrap(),
                prefix: 24,
            }],
        });
        zones.set(Network {
            id: "b".into(),
            name: "back".into(),
            endpoints: [("3".to_owned(), endpoint(&["db"], &["10.2.0.2"]))].into(),
            subnets: Vec::new(),
        });
        let asker = Asker {
            networks: vec!["a".into()],
            links: [("database".to_owned(), "DB".to_owned())].into(),
            ..Asker::default()
        };
        (zones, asker)
    }
    use crate::model::Subnet;

    fn ask(zones: &Zones, asker: &Asker, name: &str) -> Option<Vec<String>> {
        let all = zones.addresses(asker, name, IpAddr::is_ipv4)?;
        Some(all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn only_shared_networks() {
        let (zones, mut asker) = zones();
        let some = |list: &[&str]| Some(list.iter().map(|s| (*s).to_owned()).collect());
        assert_eq!(ask(&zones, &asker, "web"), some(&["10.1.0.2"]));
        assert_eq!(ask(&zones, &asker, "web.front.net"), some(&["10.1.0.2"]));
        assert_eq!(ask(&zones, &asker, "app"), some(&["10.1.0.2", "10.1.0.3"]));
        for none in ["db", "db.back", "database", "web.back", "webfront.net", ""] {
            assert_eq!(ask(&zones, &asker, none), None, "{none}");
        }
        asker.networks.push("b".into());
        for known in ["db", "db.back", "database"] {
            assert_eq!(ask(&zones, &asker, known), some(&["10.2.0.2"]), "{known}");
        }
        let v6 = zones.addresses(&asker, "web2", IpAddr::is_ipv6);
        assert_eq!(v6, Some(Vec::new()));
    }

    #[test]
    fn what_goes_leaves_what_others_share() {
        let (mut zones, asker) = zones();
        assert!(zones.remove_everywhere("1"));
        assert!(!zones.remove_everywhere("1"));
        assert_eq!(ask(&zones, &asker, "web"), None);
        assert_eq!(ask(&zones, &asker, "app").unwrap(), ["10.1.0.3"]);
        let moved = endpoint(&["web2", "app"], &["10.1.0.9"]);
        assert!(zones.set_endpoint("a", "2".into(), moved));
        assert_eq!(ask(&zones, &asker, "app").unwrap(), ["10.1.0.9"]);
        let name = |ip: &str| zones.reverse(&asker, ip.parse().unwrap());
        assert_eq!(name("10.1.0.9"), Reverse::Name("web2.front.net".into()));
        assert_eq!(name("10.1.0.3"), Reverse::Nobody);
        assert_eq!(name("10.2.0.2"), Reverse::Elsewhere);
    }
}
