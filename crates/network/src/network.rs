//! The network itself: who is connected, and the order in which things are done and undone.

use std::collections::{HashMap, HashSet};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sys::netlink::{
    Batch, LinkChange, Socket, addresses, change_link, delete_link, forget_udp, links,
};
use sys::nft::Monitor;

use crate::endpoint::{Connected, Endpoint, Mac, Proto, Request};
use crate::error::{Error, Result};
use crate::firewall::Firewall;
use crate::ipam::Ipam;
use crate::ports::PortTable;
use crate::subnet::Subnet;
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
            table: None,
            mtu: None,
        }
    }
}

/// A bridge network with its containers.
#[derive(Debug)]
pub struct Network {
    bridge: String,
    bridge_index: u32,
    subnet: Subnet,
    mtu: Option<u32>,
    firewall: Firewall,
    route: Mutex<Socket>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ipam: Ipam,
    ports: PortTable,
    endpoints: HashMap<String, Endpoint>,
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
        let made = bridge::ensure(&mut route, &name, bip, config.mtu)?;
        let firewall = Firewall::new(table, name.clone(), made.subnet).map_err(kernel)?;
        firewall.take_over().map_err(kernel)?;
        bridge::allow_forwarding(&name)?;
        let network = Self {
            bridge_index: made.index,
            subnet: made.subnet,
            mtu: config.mtu,
            firewall,
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
            link: names::link(&self.bridge, id),
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
        };
        let done = wire.connect(netns, |work| work(&mut self.route()));
        if let Err(error) = done.and_then(|()| self.open_ports(id, &endpoint)) {
            let mut errors = vec![error];
            errors.extend(self.disconnect(id).err());
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

    /// Takes a container from the network. One that is not there is no error.
    ///
    /// # Errors
    /// All that went wrong; everything else was done.
    pub fn disconnect(&self, id: &str) -> Result<()> {
        let mut errors = Vec::new();
        // Kept in the state until its traces are gone, so that nobody gets its address before.
        let endpoint = self.state().endpoints.get(id).cloned();
        if let Some(endpoint) = &endpoint {
            errors.extend(self.firewall.remove(endpoint).err().map(|e| self.kernel(e)));
        }
        errors.extend(self.delete_links([names::link(&self.bridge, id).as_str()]));
        if let Some(endpoint) = endpoint {
            self.forget_translated(&endpoint);
            let mut state = self.state();
            if state.endpoints.remove(id).is_some() {
                endpoint
                    .ports
                    .iter()
                    .for_each(|p| state.ports.remove(id, p));
                state.ipam.release(endpoint.ip);
            }
        }
        Error::gather(errors)
    }

    /// Learns the containers that live, after [`Network::open`] in a new daemon: their addresses
    /// and ports are taken, the table gets exactly their entries in one step, their links are put
    /// back on the bridge, and links of dead ones are removed.
    ///
    /// # Errors
    /// All that went wrong; everything else was done.
    pub fn restore(&self, live: &[(String, Endpoint)]) -> Result<()> {
        let mut errors = Vec::new();
        let mut state = self.state();
        *state = State::new(self.subnet);
        for (id, endpoint) in live {
            if !self.subnet.contains(endpoint.ip) {
                tracing::warn!(
                    container = id, ip = %endpoint.ip, subnet = %self.subnet,
                    "the network's subnet has changed; restart the container"
                );
            }
            if !state.ipam.take(endpoint.ip) {
                tracing::error!(container = id, ip = %endpoint.ip, "its address has two owners");
            }
            endpoint.ports.iter().for_each(|p| state.ports.add(id, p));
            state.endpoints.insert(id.clone(), endpoint.clone());
        }
        state.ipam.resume();
        let reset = self.firewall.reset(state.endpoints.values());
        errors.extend(reset.err().map(|e| self.kernel(e)));
        match self.repair_links(&state) {
            Ok(dead) => errors.extend(self.delete_links(dead.iter().map(String::as_str))),
            Err(e) => errors.push(e),
        }
        Error::gather(errors)
    }

    /// Puts back what others took away (`nft flush ruleset`, a deleted table): cheap when nothing
    /// is missing. Returns whether something was.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn repair(&self) -> Result<bool> {
        // Nobody may change the entries between the look and the repair.
        let state = self.state();
        if self.firewall.is_present().map_err(|e| self.kernel(e))? {
            return Ok(false);
        }
        self.firewall
            .reset(state.endpoints.values())
            .map_err(|e| self.kernel(e))?;
        Ok(true)
    }

    /// Removes the table, the links and the bridge.
    ///
    /// # Errors
    /// All that went wrong; everything else was done.
    pub fn teardown(&self) -> Result<()> {
        let mut errors = Vec::new();
        let mut state = self.state();
        *state = State::new(self.subnet);
        match self.repair_links(&state) {
            Ok(mut dead) => {
                dead.push(self.bridge.clone());
                errors.extend(self.delete_links(dead.iter().map(String::as_str)));
            }
            Err(e) => errors.push(e),
        }
        errors.extend(self.firewall.delete().err().map(|e| self.kernel(e)));
        Error::gather(errors)
    }

    /// Puts links of live containers on the bridge where they are not; returns the dead ones'.
    fn repair_links(&self, state: &State) -> Result<Vec<String>> {
        let prefix = names::link_prefix(&self.bridge);
        let live: HashSet<&str> = state.endpoints.values().map(|e| e.link.as_str()).collect();
        let mut route = self.route();
        let all = links(&mut route).map_err(|e| self.kernel(e))?;
        let hairpin = bridge::needs_hairpin();
        let mut dead = Vec::new();
        let mut batch = Batch::new();
        for link in all
            .iter()
            .filter(|l| l.kind == "veth" && l.name.starts_with(&prefix))
        {
            if !live.contains(link.name.as_str()) {
                // Another bridge's port is not ours, whatever its name.
                if link.master.is_none_or(|m| m == self.bridge_index) {
                    dead.push(link.name.clone());
                }
                continue;
            }
            let unchanged = LinkChange::default();
            if link.master != Some(self.bridge_index) || !link.up {
                let master = Some(self.bridge_index);
                change_link(
                    &mut batch,
                    &link.name,
                    LinkChange {
                        up: true,
                        master,
                        ..unchanged
                    },
                );
            }
            if hairpin {
                change_link(
                    &mut batch,
                    &link.name,
                    LinkChange {
                        hairpin,
                        ..unchanged
                    },
                );
            }
        }
        if !batch.is_empty() {
            route.all(&mut batch).map_err(|e| self.kernel(e))?;
        }
        for (id, endpoint) in &state.endpoints {
            if !all.iter().any(|l| l.name == endpoint.link) {
                tracing::warn!(container = id, link = endpoint.link, "its link is gone");
            }
        }
        Ok(dead)
    }

    fn delete_links<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<Error> {
        let mut batch = Batch::new();
        names.into_iter().for_each(|n| delete_link(&mut batch, n));
        match self.route().exchange(&mut batch) {
            Ok(replies) => replies
                .into_iter()
                .filter_map(Result::err)
                .filter(|e| !e.is_absent())
                .map(|e| self.kernel(e))
                .collect(),
            Err(e) => vec![self.kernel(e)],
        }
    }

    /// Clients that kept sending UDP while nobody had the port would go on being untranslated.
    fn forget_untranslated(&self, endpoint: &Endpoint) {
        let mut own = None;
        self.forget(endpoint, |socket, flow| {
            let own = own.get_or_insert_with(|| addresses(socket).unwrap_or_default());
            flow.sent_to == flow.answered_by && own.iter().any(|a| a.ip == flow.sent_to)
        });
    }

    /// Clients that keep sending UDP would go on being translated to a container that is gone.
    fn forget_translated(&self, endpoint: &Endpoint) {
        self.forget(endpoint, |_, flow| flow.answered_by == endpoint.ip);
    }

    fn forget(
        &self,
        endpoint: &Endpoint,
        mut wanted: impl FnMut(&mut Socket, &sys::netlink::Flow) -> bool,
    ) {
        for port in endpoint.ports.iter().filter(|p| p.proto == Proto::Udp) {
            let done = self.firewall.with_socket(|socket| {
                forget_udp(socket, port.host_port, |flow| {
                    port.only_on().is_none_or(|ip| ip == flow.sent_to)
                        && wanted(&mut self.route(), flow)
                })
            });
            if let Err(e) = done {
                tracing::warn!(port = port.host_port, "cannot forget old UDP flows: {e}");
            }
        }
    }

    /// Puts the table back as soon as someone takes it away, as `nft flush ruleset` or a restart
    /// of the host's firewall does, for as long as the network is in use. The thread that sees to
    /// it ends at the first such event after that.
    ///
    /// # Errors
    /// When the kernel does not tell of changes or no thread can be started.
    pub fn watch(self: &Arc<Self>) -> Result<()> {
        let mut monitor = Monitor::open().map_err(|e| self.kernel(e))?;
        let (weak, table) = (Arc::downgrade(self), self.firewall.table().to_owned());
        let watch = move || {
            while monitor.deleted(&table).is_ok() {
                let Some(network) = weak.upgrade() else {
                    return;
                };
                match network.repair() {
                    Ok(true) => tracing::warn!(table, "someone deleted the table; put back"),
                    Ok(false) => {}
                    Err(e) => tracing::error!(table, "cannot put the deleted table back: {e}"),
                }
            }
            tracing::error!(
                table,
                "no longer watched; a deleted table will not be put back"
            );
        };
        let thread = std::thread::Builder::new()
            .name("nft-watch".into())
            .stack_size(256 * 1024);
        let started = thread.spawn(watch).map(drop);
        started.map_err(|e| self.kernel(e.into()))?;
        // It may have been deleted before the watch began.
        self.repair().map(drop)
    }

    fn not_connected(&self, id: &str) -> Error {
        Error::NotConnected {
            id: id.into(),
            network: self.bridge.clone(),
        }
    }

    fn kernel(&self, source: sys::netlink::Error) -> Error {
        Error::Kernel {
            network: self.bridge.clone(),
            source,
        }
    }

    fn route(&self) -> MutexGuard<'_, Socket> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(subnet: Subnet) -> Self {
        Self {
            ipam: Ipam::new(subnet),
            ports: PortTable::default(),
            endpoints: HashMap::new(),
        }
    }

    fn address(
        &mut self,
        network: &Network,
        wanted: Option<std::net::Ipv4Addr>,
    ) -> Result<std::net::Ipv4Addr> {
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
