//! One network with its containers.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::definition::{Definition, Driver, Gateway};
use crate::endpoint::{Endpoint, INSIDE, Mac, Request};
use crate::error::{Error, Result};
use crate::ipam::Ipam;
use crate::names;

#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) definition: Definition,
    /// The number of its bridge, or of the link that is shared.
    pub(crate) index: u32,
    ipams: Vec<Ipam>,
    /// By container.
    pub(crate) endpoints: HashMap<String, Endpoint>,
}

impl Network {
    pub(crate) fn new(definition: Definition, index: u32) -> Self {
        Self {
            ipams: definition.spaces.iter().cloned().map(Ipam::new).collect(),
            definition,
            index,
            endpoints: HashMap::new(),
        }
    }

    /// Gives a container its addresses, without touching its namespace; nothing is reserved when
    /// this fails.
    pub(crate) fn reserve(&mut self, id: &str, request: &Request) -> Result<Endpoint> {
        if self.endpoints.contains_key(id) {
            return Err(Error::AlreadyConnected {
                id: id.into(),
                network: self.definition.name.clone(),
            });
        }
        let four = self.address(true, request.ip.map(IpAddr::V4))?;
        let six = match self.address(false, request.ip6.map(IpAddr::V6)) {
            Ok(six) => six,
            Err(e) => {
                self.give_back(four.map(|(ip, ..)| ip));
                return Err(e);
            }
        };
        let any = four.or(six).map(|(ip, ..)| ip);
        let on_host = matches!(self.definition.driver, Driver::Bridge(_));
        let (mut endpoint, random) = (
            Endpoint {
                ip: None,
                prefix: 0,
                gateway: None,
                ip6: None,
                prefix6: 0,
                gateway6: None,
                mac: Mac([0; 6]),
                link: String::new(),
                inside: request.inside.clone(),
            },
            names::random(),
        );
        if endpoint.inside.is_empty() {
            INSIDE.clone_into(&mut endpoint.inside);
        }
        if let Some(bridge) = self.definition.bridge().filter(|_| on_host) {
            endpoint.link = names::link(&bridge.link);
        }
        endpoint.mac = request
            .mac
            .or(any.map(Mac::of_ip))
            .unwrap_or_else(|| Mac::of_ip(IpAddr::V6(random.into())));
        for (ip, prefix, gateway) in four.into_iter().chain(six) {
            match (ip, gateway) {
                (IpAddr::V4(ip), gateway) => {
                    (endpoint.ip, endpoint.prefix) = (Some(ip), prefix);
                    if let Some(IpAddr::V4(gateway)) = gateway {
                        endpoint.gateway = Some(gateway);
                    }
                }
                (IpAddr::V6(ip), gateway) => {
                    (endpoint.ip6, endpoint.prefix6) = (Some(ip), prefix);
                    if let Some(IpAddr::V6(gateway)) = gateway {
                        endpoint.gateway6 = Some(gateway);
                    }
                }
            }
        }
        self.endpoints.insert(id.to_owned(), endpoint.clone());
        Ok(endpoint)
    }

    /// An address with its prefix's length and the way out.
    fn address(
        &mut self,
        ipv4: bool,
        wanted: Option<IpAddr>,
    ) -> Result<Option<(IpAddr, u8, Option<IpAddr>)>> {
        let name = &self.definition.name;
        let internal = self.definition.internal;
        let isolated = |g: Gateway| g == Gateway::Isolated;
        let alone = matches!(self.definition.driver, Driver::Shared { parent: None, .. });
        let dead_end = internal
            || alone
            || self
                .definition
                .bridge()
                .is_some_and(|b| isolated(b.gateway(ipv4)));
        let shown = |ipam: &Ipam, ip| {
            let space = ipam.space();
            let gateway = space.router.or(space.gateway).filter(|_| !dead_end);
            (ip, space.subnet.prefix, gateway)
        };
        let family = |i: &&mut Ipam| i.space().subnet.is_ipv4() == ipv4;
        let mut ours = self.ipams.iter_mut().filter(family).peekable();
        let Some(ip) = wanted else {
            if ours.peek().is_none() {
                return Ok(None);
            }
            let (mut used, mut subnets) = (0, Vec::new());
            for ipam in ours {
                if let Some(ip) = ipam.next() {
                    return Ok(Some(shown(ipam, ip)));
                }
                used += ipam.used();
                let space = ipam.space();
                subnets.push(match space.range {
                    Some(range) => format!("{range}, the ip-range of {}", space.subnet),
                    None => space.subnet.to_string(),
                });
            }
            return Err(Error::Exhausted {
                network: name.clone(),
                subnet: subnets.join(", "),
                used,
            });
        };
        if ours.peek().is_none() {
            return Err(Error::NoFamily {
                network: name.clone(),
                family: if ipv4 { "IPv4" } else { "IPv6" },
                ip,
            });
        }
        let mut subnets = Vec::new();
        for ipam in ours {
            if let Some(owner) = ipam.owner(ip) {
                return Err(Error::AddressInUse {
                    ip,
                    network: name.clone(),
                    owner: owner.to_owned(),
                });
            }
            if !ipam.is_assignable(ip) {
                subnets.push(ipam.space().subnet.to_string());
                continue;
            }
            if !ipam.take(ip) {
                let mut all = self.endpoints.iter();
                let has = all.find(|(_, e)| e.addresses().any(|a| a == ip));
                return Err(Error::AddressInUse {
                    ip,
                    network: name.clone(),
                    owner: match has {
                        Some((id, _)) => format!("container {}", types::id::short(id)),
                        None => "a container".to_owned(),
                    },
                });
            }
            return Ok(Some(shown(ipam, ip)));
        }
        Err(Error::AddressOutside {
            ip,
            network: name.clone(),
            subnet: subnets.join(", "),
        })
    }

    /// Notes a container that is in it.
    pub(crate) fn adopt(&mut self, id: &str, endpoint: &Endpoint) {
        for ip in endpoint.addresses() {
            let ipam = self.ipams.iter_mut();
            let mut ours = ipam.filter(|i| i.space().subnet.contains(ip));
            let taken = ours.next().map(|ipam| ipam.take(ip));
            match taken {
                None => tracing::warn!(
                    container = id, %ip, network = self.definition.name,
                    "the network's subnet has changed; restart the container"
                ),
                Some(false) => {
                    tracing::error!(container = id, %ip, "its address has two owners");
                }
                Some(true) => {}
            }
        }
        self.endpoints.insert(id.to_owned(), endpoint.clone());
    }

    /// Forgets all containers.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.definition.clone(), self.index);
    }

    /// After [`Network::adopt`]: where to look for free addresses first.
    pub(crate) fn resume(&mut self) {
        self.ipams.iter_mut().for_each(Ipam::resume);
    }

    /// Frees a container's addresses.
    pub(crate) fn release(&mut self, endpoint: &Endpoint) {
        self.give_back(endpoint.addresses());
    }

    fn give_back(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for ip in addresses {
            self.ipams.iter_mut().for_each(|i| i.release(ip));
        }
    }
}
