//! All networks of a daemon on its host, and the order in which things are done and undone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sys::netlink::Socket;

use crate::definition::{AddressSpace, Definition, Driver};
use crate::error::{Error, Result};
use crate::firewall::{FAMILIES, Firewall};
use crate::members::Network;
use crate::ports::PortTable;
use crate::publish::Ports;
use crate::reaper::{Reaper, Tools};
use crate::subnet::{Pool, Subnet};
use crate::{adopted, bridge, names, shared};

/// The number of a link that could not be made yet.
pub(crate) const NO_LINK: u32 = 0;

/// How a host's networks are set up.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The nftables tables; derived from the default bridge as a rule ([`Config::table_of`]), so
    /// that two daemons with different bridges do not meet.
    pub table: String,
    /// Where networks without a subnet get theirs from; the default ones if there are none.
    pub pools: Vec<Pool>,
    /// Whether chains of others that would drop containers' packets are given rules that let them
    /// pass.
    pub integrate: bool,
    /// Whether the host's own setting of forwarding is left as it is.
    pub leaves_forwarding: bool,
}

/// What is said of a subnet of the default bridge.
#[derive(Debug, Clone, Copy)]
pub struct DefaultSubnet<'a> {
    /// Its family.
    pub ipv4: bool,
    /// The bridge's address and prefix.
    pub address: Option<&'a str>,
    /// The part for containers.
    pub range: Option<&'a str>,
    /// What a local subnet of IPv6 follows from.
    pub seed: u64,
}

impl Config {
    /// The name of the tables of the daemon with this default bridge.
    #[must_use]
    pub fn table_of(bridge: &str) -> String {
        names::table(bridge)
    }
}

/// The networks of one daemon.
///
/// Threads that call it must be in the network namespace it was opened in.
#[derive(Debug)]
pub struct Fabric {
    pub(crate) firewall: Firewall,
    pub(crate) pools: Vec<Pool>,
    pub(crate) integrate: bool,
    pub(crate) leaves_forwarding: bool,
    pub(crate) route: Mutex<Socket>,
    pub(crate) reaper: Reaper,
    pub(crate) state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) networks: HashMap<String, Network>,
    pub(crate) table: PortTable,
    /// By container.
    pub(crate) published: HashMap<String, Ports>,
    /// How many containers that have ended still have ports in `table`.
    pub(crate) leaving: usize,
}

impl Fabric {
    /// Opens what is needed to talk to the kernel, and changes nothing. [`Fabric::load`] next, for
    /// each network that there is, then [`Fabric::restore`].
    ///
    /// # Errors
    /// When the configuration makes no sense or the kernel refuses something.
    pub fn open(config: &Config) -> Result<Self> {
        names::check_table(&config.table)?;
        let kernel = Error::kernel("the host's networks");
        let state = Arc::default();
        let tools = Tools {
            route: Socket::route().map_err(&kernel)?,
            tracking: Socket::netfilter().map_err(&kernel)?,
            state: Arc::clone(&state),
        };
        Ok(Self {
            firewall: Firewall::new(config.table.clone()).map_err(&kernel)?,
            pools: config.pools.clone(),
            integrate: config.integrate,
            leaves_forwarding: config.leaves_forwarding,
            route: Mutex::new(Socket::route().map_err(&kernel)?),
            reaper: Reaper::start(tools).map_err(|e| kernel(e.into()))?,
            state,
        })
    }

    /// A subnet of the default bridge: that of its address, or the one that the bridge has, or its range
    /// itself, or a free one; none of `others`.
    ///
    /// # Errors
    /// When there is none, its parts do not fit together, or the name belongs to something else.
    pub fn default_subnet(
        &self,
        link: &str,
        wanted: &DefaultSubnet<'_>,
        others: &[Subnet],
    ) -> Result<Subnet> {
        names::check_bridge(link)?;
        let address = wanted.address.map(str::parse::<Subnet>).transpose();
        let address = address.map_err(Error::Config)?;
        let range = wanted.range.map(Subnet::parse).transpose();
        let range = range
            .map_err(|why| Error::Config(format!("invalid range of the default bridge: {why}")))?;
        let foreign = |s: &Subnet| s.is_ipv4() != wanted.ipv4;
        if let Some(odd) = address.iter().chain(&range).find(|s| foreign(s)) {
            let family = if wanted.ipv4 { "IPv4" } else { "IPv6" };
            return Err(Error::Config(format!(
                "{odd} is no {family} subnet for the default bridge"
            )));
        }
        let holds =
            |s: &Subnet| range.is_none_or(|r| s.contains(r.network()) && s.contains(r.last()));
        if let (Some(subnet), Some(range)) = (address.filter(|s| !holds(s)), range) {
            return Err(Error::Config(format!(
                "the range {range} is not in the default bridge's subnet {subnet}"
            )));
        }
        let kept = bridge::own_subnet(&mut self.route(), link, wanted.ipv4)?.filter(holds);
        let of_range = range.map(|range| Subnet {
            gateway: range.first_host(),
            ..range
        });
        if let Some(subnet) = address.or(kept).or(of_range) {
            return match others.iter().find(|o| o.overlaps(subnet)) {
                None => Ok(subnet),
                Some(other) => Err(Error::Overlaps {
                    subnet: subnet.to_string(),
                    other: format!("{other} of a network of a user's"),
                }),
            };
        }
        match self.free_subnet(wanted.ipv4, Some(link), others) {
            Err(Error::NoSubnet) if !wanted.ipv4 => Ok(Subnet::unique_local(wanted.seed)),
            other => other,
        }
    }

    /// A subnet that neither the host nor another network uses, and none of `others`. Addresses of the
    /// link `except` do not count.
    ///
    /// # Errors
    /// When there is none.
    pub fn free_subnet(
        &self,
        ipv4: bool,
        except: Option<&str>,
        others: &[Subnet],
    ) -> Result<Subnet> {
        let mut taken =
            bridge::taken(&mut self.route(), except).map_err(Error::kernel("the host"))?;
        taken.extend(others);
        let state = self.state();
        let free = |s: &Subnet| {
            !taken.iter().any(|t| t.overlaps(*s)) && state.overlapping(*s, None).is_none()
        };
        let pools = || self.pools.iter().filter(|p| p.is_ipv4() == ipv4);
        let found = if pools().next().is_none() {
            if !ipv4 {
                return Err(Error::NoSubnet);
            }
            Subnet::candidates().find(free)
        } else {
            pools().flat_map(|p| p.candidates()).find(free)
        };
        found.ok_or(if self.pools.is_empty() {
            Error::NoSubnet
        } else {
            Error::NoSubnetInPools
        })
    }

    /// Makes a network, or repairs what is there of it. Answers whether its link was there before.
    ///
    /// # Errors
    /// When a subnet overlaps another network's, or the kernel refuses something; then nothing is
    /// left of it.
    pub fn add(&self, network: &Definition) -> Result<bool> {
        {
            let state = self.state();
            for space in &network.spaces {
                if let Some(other) = state.overlapping(space.subnet, Some(&network.id)) {
                    return Err(Error::Overlaps {
                        subnet: space.subnet.to_string(),
                        other,
                    });
                }
            }
            let link = network.bridge().map(|b| &b.link);
            let same = |n: &&Network| {
                n.definition.id != network.id && n.definition.bridge().map(|b| &b.link) == link
            };
            if let Some(other) = state
                .networks
                .values()
                .find(same)
                .filter(|_| link.is_some())
            {
                return Err(Error::SameBridge {
                    id: other.definition.id.clone(),
                    name: other.definition.name.clone(),
                });
            }
        }
        let existed = self.link_exists(network)?;
        let make = || {
            self.load(network)?;
            self.open_network(network)?;
            if let Some(bridge) = network.bridge() {
                bridge::allow_forwarding(network, bridge, !self.leaves_forwarding)?;
            }
            self.integrate()
        };
        if let Err(error) = make() {
            let mut errors = vec![error];
            errors.extend(self.remove(&network.id, existed).err());
            return Err(Error::gather(errors).err().unwrap_or(Error::NoSubnet));
        }
        Ok(existed)
    }

    /// Whether the link that a network would make is there already.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn link_exists(&self, network: &Definition) -> Result<bool> {
        if let Some(bridge) = network.bridge() {
            names::check_bridge(&bridge.link)?;
        }
        let Some(link) = link_of(network) else {
            return Ok(true);
        };
        // That of a network that was just removed does not count.
        self.reaper.wait_for(&link);
        let found = sys::netlink::get_link(&mut self.route(), &link);
        Ok(found.map_err(Error::kernel(&network.name))?.is_some())
    }

    fn open_network(&self, network: &Definition) -> Result<()> {
        // Nobody may change the networks between the look and the change.
        let state = self.state();
        for ipv4 in FAMILIES {
            if !state.has_family(ipv4) {
                continue;
            }
            if self.firewall.is_present(ipv4).map_err(self.rules())? {
                let added = self.firewall.add_network(ipv4, network);
                if !matches!(&added, Err(e) if e.is_present()) {
                    added.map_err(self.rules())?;
                    continue;
                }
            }
            self.install(&state, ipv4)?;
        }
        Ok(())
    }

    /// Puts a family's whole table in place.
    pub(crate) fn install(&self, state: &State, ipv4: bool) -> Result<()> {
        let networks = state.networks.values().map(|n| &n.definition);
        let published = state.published.values().map(|p| &p.led);
        let installed = self.firewall.install(ipv4, networks, published);
        installed.map_err(self.rules())
    }

    /// Makes a network's link, or repairs what is there of it, without any rules: those come with
    /// [`Fabric::restore`]. Answers whether its link was there before.
    ///
    /// # Errors
    /// When the definition makes no sense or the kernel refuses something.
    pub fn load(&self, network: &Definition) -> Result<bool> {
        if let Some(mtu) = network.mtu.filter(|m| !(68..=65535).contains(m)) {
            return Err(Error::Config(format!(
                "the MTU {mtu} is not from 68 to 65535"
            )));
        }
        let ipv6 = network.spaces_of(false).next().is_some();
        if let Some(mtu) = network.mtu.filter(|m| ipv6 && *m < 1280) {
            return Err(Error::Config(format!(
                "the MTU {mtu} is too small: IPv6 needs 1280 at least"
            )));
        }
        // First of all: its rules are wanted even where its link cannot be had.
        self.state()
            .networks
            .entry(network.id.clone())
            .or_insert_with(|| Network::new(network.clone(), NO_LINK));
        let (index, existed) = match &network.driver {
            Driver::Bridge(bridge) => {
                names::check_bridge(&bridge.link)?;
                self.reaper.wait_for(&bridge.link);
                let mark = self.mark();
                bridge::ensure(&mut self.route(), network, bridge, &mark)?
            }
            Driver::Shared { parent, .. } => {
                if let Some(link) = shared::own_link(network, parent.as_deref()) {
                    self.reaper.wait_for(&link);
                }
                let mark = self.mark();
                shared::ensure(&mut self.route(), network, parent.as_deref(), &mark)?
            }
        };
        self.state().network(&network.id)?.index = index;
        Ok(existed)
    }

    /// Removes a network that no container is in; its link, if it is not `foreign`, loses its addresses
    /// at once and goes in the background ([`Fabric::settle`]); a `foreign` bridge loses what the network gave
    /// it, as far as it is known what it had ([`Bridge::found`](crate::Bridge)). A network that is not there is no error.
    ///
    /// # Errors
    /// When containers are in it; else all that went wrong, and everything else was done.
    pub fn remove(&self, id: &str, foreign: bool) -> Result<()> {
        let mut state = self.state();
        let Some(network) = state.networks.get(id) else {
            return Ok(());
        };
        if !network.endpoints.is_empty() {
            let mut members: Vec<&str> = network.endpoints.keys().map(String::as_str).collect();
            members.sort_unstable();
            return Err(Error::InUse {
                network: network.definition.name.clone(),
                members: members.join(", "),
            });
        }
        let Some(network) = state.networks.remove(id) else {
            return Ok(());
        };
        let mut errors = Vec::new();
        if let Some(bridge) = network.definition.bridge().filter(|_| foreign) {
            let given = adopted::give_back(&mut self.route(), &network.definition, bridge);
            errors.extend(given.err());
        }
        for ipv4 in FAMILIES {
            let removed = if state.has_family(ipv4) {
                match self.firewall.remove_network(ipv4, &network.definition) {
                    // Not all of it is as we left it: the whole table as it has to be.
                    Err(_) => self.install(&state, ipv4),
                    Ok(()) => Ok(()),
                }
            } else {
                self.firewall.delete(ipv4).map_err(self.rules())
            };
            errors.extend(removed.err());
        }
        // Another network may be on the same VLAN's link.
        let shares = |n: &Network| match (&n.definition.driver, &network.definition.driver) {
            (Driver::Shared { parent: a, .. }, Driver::Shared { parent: b, .. }) => {
                a == b && a.is_some()
            }
            _ => false,
        };
        if !foreign && !state.networks.values().any(shares) {
            errors.extend(self.remove_link(&network.definition).err());
        }
        if !errors.is_empty() {
            // It is not gone, and can be removed again.
            state.networks.insert(id.to_owned(), network);
        }
        drop(state);
        errors.extend(self.integrate().err());
        Error::gather(errors)
    }

    fn remove_link(&self, network: &Definition) -> Result<()> {
        let Some(link) = link_of(network) else {
            return Ok(());
        };
        // Its subnet is free when this returns, also for those who look at the host's routes.
        bridge::clear_addresses(&mut self.route(), &link).map_err(Error::kernel(&network.name))?;
        self.reaper.delete(&link);
        Ok(())
    }

    /// What links that are ours are marked with, as the kernel's alias: those of networks that nobody
    /// knows any more are found by it.
    pub(crate) fn mark(&self) -> String {
        format!("{} network", self.firewall.table())
    }

    /// Waits until the links of all containers disconnected, and of all networks removed before are gone.
    pub fn settle(&self) {
        self.reaper.settle();
    }

    pub(crate) fn rules(&self) -> impl Fn(sys::netlink::Error) -> Error + use<> {
        Error::kernel(&format!("table {}", self.firewall.table()))
    }

    pub(crate) fn route(&self) -> MutexGuard<'_, Socket> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The link that is made for a network, if it is not there already, and goes with it.
pub(crate) fn link_of(network: &Definition) -> Option<String> {
    match &network.driver {
        Driver::Bridge(bridge) => Some(bridge.link.clone()),
        Driver::Shared { parent, .. } => shared::own_link(network, parent.as_deref()),
    }
}

impl State {
    pub(crate) fn network(&mut self, id: &str) -> Result<&mut Network> {
        self.networks
            .get_mut(id)
            .ok_or_else(|| Error::NoSuchNetwork(id.to_owned()))
    }

    /// Whether a family needs a table: IPv4 always does.
    pub(crate) fn has_family(&self, ipv4: bool) -> bool {
        let six = |n: &Network| n.definition.spaces_of(false).next().is_some();
        ipv4 || self.networks.values().any(six)
    }

    /// All bridges, by name.
    pub(crate) fn bridges(&self) -> Vec<String> {
        let all = self.networks.values().filter_map(|n| n.definition.bridge());
        let mut names: Vec<String> = all.map(|b| b.link.clone()).collect();
        names.sort_unstable();
        names
    }

    /// The network, other than `own`, that has addresses of this subnet.
    fn overlapping(&self, subnet: Subnet, own: Option<&str>) -> Option<String> {
        let others = self.networks.values();
        let mut all = others
            .filter(|n| own != Some(&n.definition.id))
            .flat_map(|n| n.definition.spaces.iter().map(move |s| (n, s)));
        all.find(|(_, s): &(_, &AddressSpace)| s.subnet.overlaps(subnet))
            .map(|(n, s)| format!("{} of network {}", s.subnet, n.definition.name))
    }
}
