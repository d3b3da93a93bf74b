//! The network itself: who is connected, and the order in which things are done and undone.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sys::netlink::Socket;

use crate::endpoint::{Connected, Endpoint, Mac, Request};
use crate::error::{Error, Result};
use crate::firewall::Firewall;
use crate::ipam::Ipam;
use crate::ports::PortTable;
use crate::reaper::Reaper;
use crate::subnet::{Pool, Subnet};
use crate::wire::Wire;
use crate::{bridge, foreign, names};

/// How a network is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bridge's name.
    pub bridge: String,
    /// The bridge's address and prefix, such as `172.20.0.1/16`. Without one an existing bridge
    /// keeps its own, and a new one gets the first default subnet that the host does not use.
    pub bip: Option<String>,
    /// Where a new bridge without `bip` gets its subnet from; the default ones if there are none.
    pub pools: Vec<Pool>,
    /// Whether containers on the bridge reach each other other than by published ports.
    pub icc: bool,
    /// The nftables table (family `ip`); derived from the bridge if `None`, so that two daemons
    /// with different bridges do not meet.
    pub table: Option<String>,
    /// The largest packet of the bridge and its links; the kernel's default if `None`.
    pub mtu: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bridge: "wharf0".into(),
            bip: None,
            pools: Vec::new(),
            icc: true,
            table: None,
            mtu: None,
        }
    }
}

/// A bridge network with its containers.
#[derive(Debug)]
pub struct Network {
    pub(crate) bridge: String,
    pub(crate) bridge_index: u32,
    pub(crate) subnet: Subnet,
    pub(crate) mtu: Option<u32>,
    pub(crate) icc: bool,
    pub(crate) firewall: Firewall,
    pub(crate) route: Mutex<Socket>,
    pub(crate) reaper: Reaper,
    pub(crate) state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ipam: Ipam,
    pub(crate) ports: PortTable,
    pub(crate) endpoints: HashMap<String, Endpoint>,
}

impl Network {
    /// Makes, repairs or takes over the bridge and the table; running containers' traffic goes
    /// on meanwhile. Call [`Network::restore`] next.
    ///
    /// # Errors
    /// When the configuration makes no sense or the kernel refuses something.
    pub fn open(config: &Config) -> Result<Self> {
        let name = config.bridge.clone();
        names::check_bridge(&name)?;
        let table = config.table.clone().unwrap_or_else(|| names::table(&name));
        names::check_table(&table)?;
        let bip = config
            .bip
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(Error::Config)?;
        if let Some(mtu) = config.mtu.filter(|m| !(68..=65535).contains(m)) {
            return Err(Error::Config(format!(
                "the MTU {mtu} is not from 68 to 65535"
            )));
        }
        let kernel = |source| Error::Kernel {
            network: name.clone(),
            source,
        };
        let mut route = Socket::route().map_err(kernel)?;
        let made = bridge::ensure(&mut route, &name, bip, &config.pools, config.mtu)?;
        let firewall =
            Firewall::new(table, name.clone(), made.subnet, config.icc).map_err(kernel)?;
        firewall.take_over().map_err(kernel)?;
        bridge::allow_forwarding(&name)?;
        let network = Self {
            bridge_index: made.index,
            subnet: made.subnet,
            mtu: config.mtu,
            icc: config.icc,
            firewall,
            reaper: Reaper::start(Socket::route().map_err(kernel)?)
                .map_err(|e| kernel(e.into()))?,
            route: Mutex::new(route),
            state: Mutex::new(State::new(made.subnet)),
            bridge: name,
        };
        for warning in network.warnings() {
            tracing::warn!("{warning}");
        }
        Ok(network)
    }

    /// The bridge's name.
    #[must_use]
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// The largest packet of the bridge and its links, where it is not the kernel's default.
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        self.mtu
    }

    /// Whether containers on the bridge reach each other other than by published ports.
    #[must_use]
    pub fn icc(&self) -> bool {
        self.icc
    }

    /// The subnet, with the bridge's address.
    #[must_use]
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Rules of others that keep packets from containers, each with the rule that helps.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        foreign::warnings(&self.firewall, &self.bridge).unwrap_or_else(|e| {
            vec![format!(
                "cannot tell whether other firewall rules block {}: {e}",
                self.bridge
            )]
        })
    }

    /// Gives a container its address and ports, without touching its namespace; nothing is
    /// reserved when this fails. [`Network::disconnect`] gives it all back.
    ///
    /// # Errors
    /// When a port or the address is taken, cannot be had, or none is left.
    pub fn reserve(&self, id: &str, request: &Request) -> Result<Connected> {
        let mut state = self.state();
        if state.endpoints.contains_key(id) {
            return Err(Error::AlreadyConnected {
                id: id.into(),
                network: self.bridge.clone(),
            });
        }
        let ip = state.address(self, request.ip)?;
        let (ports, held) = match state.ports.publish(id, ip, &request.ports) {
            Ok(published) => published,
            Err(e) => {
                state.ipam.release(ip);
                return Err(e);
            }
        };
        let endpoint = Endpoint {
            ip,
            prefix: self.subnet.prefix,
            gateway: self.subnet.gateway,
            mac: request.mac.unwrap_or_else(|| Mac::of_ip(ip)),
            link: names::link(&self.bridge),
            ports,
        };
        state.endpoints.insert(id.to_owned(), endpoint.clone());
        Ok(Connected { endpoint, held })
    }

    /// Connects a container's namespace as reserved. When it fails the reservation is gone.
    ///
    /// # Errors
    /// When nothing was reserved or the kernel refuses something.
    pub fn attach(&self, id: &str, netns: BorrowedFd<'_>) -> Result<()> {
        let endpoint = self.state().endpoints.get(id).cloned();
        let endpoint = endpoint.ok_or_else(|| self.not_connected(id))?;
        let wire = Wire {
            id,
            bridge: &self.bridge,
            bridge_index: self.bridge_index,
            endpoint: &endpoint,
            mtu: self.mtu,
            isolated: bridge::isolates(self.icc),
        };
        let host = |work: &mut dyn FnMut(&mut Socket) -> Result<()>| work(&mut self.route());
        let mut done = wire.connect(netns, host);
        if matches!(&done, Err(Error::Kernel { source, .. }) if source.is_present()) {
            // The namespace's own earlier link may be about to go.
            self.settle();
            done = wire.connect(netns, host);
        }
        if let Err(error) = done.and_then(|()| self.open_ports(id, &endpoint)) {
            let mut errors = vec![error];
            errors.extend(self.disconnect(id).err());
            // Also when someone else's disconnect came before the link was made.
            self.reaper.delete(&endpoint.link);
            return Error::gather(errors);
        }
        Ok(())
    }

    fn open_ports(&self, id: &str, endpoint: &Endpoint) -> Result<()> {
        self.firewall.add(endpoint).map_err(|e| self.kernel(e))?;
        self.forget_untranslated(endpoint);
        if self.state().endpoints.get(id) != Some(endpoint) {
            // Disconnected meanwhile: take back what was done since.
            self.firewall.remove(endpoint).map_err(|e| self.kernel(e))?;
            return Err(self.not_connected(id));
        }
        Ok(())
    }

    /// [`Network::reserve`] and [`Network::attach`].
    ///
    /// # Errors
    /// As those two; nothing is left when it fails.
    pub fn connect(&self, id: &str, netns: BorrowedFd<'_>, request: &Request) -> Result<Connected> {
        let connected = self.reserve(id, request)?;
        self.attach(id, netns)?;
        Ok(connected)
    }

    /// Takes a container from the network. One that is not there is no error. Its link goes in
    /// the background ([`Network::settle`]).
    ///
    /// # Errors
    /// All that went wrong; everything else was done.
    pub fn disconnect(&self, id: &str) -> Result<()> {
        let mut errors = Vec::new();
        let mut state = self.state();
        if let Some(endpoint) = state.endpoints.remove(id) {
            // Still under the lock: a repair must not put its ports back.
            errors.extend(
                self.firewall
                    .remove(&endpoint)
                    .err()
                    .map(|e| self.kernel(e)),
            );
            drop(state);
            self.reaper.delete(&endpoint.link);
            self.forget_translated(&endpoint);
            // Nobody gets its address or ports before its traces are gone.
            let mut state = self.state();
            endpoint
                .ports
                .iter()
                .for_each(|p| state.ports.remove(id, p));
            state.ipam.release(endpoint.ip);
        }
        Error::gather(errors)
    }

    /// Waits until the links of all containers disconnected before are gone.
    pub fn settle(&self) {
        self.reaper.settle();
    }

    fn not_connected(&self, id: &str) -> Error {
        Error::NotConnected {
            id: id.into(),
            network: self.bridge.clone(),
        }
    }

    pub(crate) fn kernel(&self, source: sys::netlink::Error) -> Error {
        Error::Kernel {
            network: self.bridge.clone(),
            source,
        }
    }

    pub(crate) fn route(&self) -> MutexGuard<'_, Socket> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn new(subnet: Subnet) -> Self {
        Self {
            ipam: Ipam::new(subnet),
            ports: PortTable::default(),
            endpoints: HashMap::new(),
        }
    }

    fn address(&mut self, network: &Network, wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr> {
        let (name, subnet) = (network.bridge.clone(), network.subnet.to_string());
        let Some(ip) = wanted else {
            let used = self.ipam.used();
            return self.ipam.next().ok_or(Error::Exhausted {
                network: name,
                subnet,
                used,
            });
        };
        if !self.ipam.is_assignable(ip) {
            return Err(Error::AddressOutside {
                ip,
                network: name,
                subnet,
            });
        }
        if !self.ipam.take(ip) {
            return Err(Error::AddressInUse { ip, network: name });
        }
        Ok(ip)
    }
}
