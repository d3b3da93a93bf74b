//! Making the kernel's state match the containers again, whatever happened to either.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use sys::netlink::{Batch, LinkChange, change_link, delete_links, links};
use sys::nft::{Monitor, Own, TICK};

use crate::endpoint::{Endpoint, Published};
use crate::error::{Error, Result};
use crate::fabric::{Fabric, NO_LINK, State};
use crate::firewall::FAMILIES;
use crate::publish::Ports;
use crate::{bridge, fabric, foreign, names};

/// How long others may take to change their rules before they are looked at.
const SETTLED: std::time::Duration = std::time::Duration::from_millis(200);

/// A container that lives, as its daemon finds it again.
#[derive(Debug, Clone, Default)]
pub struct Living {
    /// The container.
    pub id: String,
    /// Where it is, by network.
    pub endpoints: Vec<(String, Endpoint)>,
    /// What it publishes.
    pub published: Published,
}

impl Fabric {
    /// Learns the containers that live, after [`Fabric::load`] in a new daemon: their addresses
    /// and ports are taken, the tables get exactly their entries in one step, their links are put
    /// back on their bridges, and links of dead ones are removed.
    ///
    /// # Errors
    /// All that went wrong; everything else was done.
    pub fn restore(&self, live: &[Living]) -> Result<()> {
        let mut errors = Vec::new();
        let mut state = self.state();
        state.forget_containers();
        for one in live {
            for (network, endpoint) in &one.endpoints {
                match state.networks.get_mut(network) {
                    Some(network) => network.adopt(&one.id, endpoint),
                    None => tracing::warn!(
                        container = one.id,
                        network,
                        "the network that it is in is gone"
                    ),
                }
            }
            for port in &one.published.ports {
                state.table.add(&one.id, port);
            }
            let ports = Ports {
                bound: one.published.ports.clone(),
                led: one.published.clone(),
            };
            state.published.insert(one.id.clone(), ports);
        }
        state.networks.values_mut().for_each(|n| n.resume());
        for ipv4 in FAMILIES {
            let done = if state.has_family(ipv4) {
                self.install(&state, ipv4)
            } else {
                self.firewall.delete(ipv4).map_err(self.rules())
            };
            errors.extend(done.err());
        }
        for network in state.networks.values().filter(|n| n.index != NO_LINK) {
            let allowed = network
                .definition
                .bridge()
                .map(|b| bridge::allow_forwarding(&network.definition, b, !self.leaves_forwarding));
            // The other networks' containers go on.
            if let Some(Err(error)) = allowed {
                let network = &network.definition.name;
                tracing::error!(network, "cannot be set up: {error}");
            }
        }
        match self.repair_links(&state) {
            Ok(dead) => errors.extend(self.delete_links(&dead)),
            Err(e) => errors.push(e),
        }
        match self.stray_networks(&state) {
            Ok(dead) => errors.extend(self.delete_links(&dead)),
            Err(e) => errors.push(e),
        }
        drop(state);
        let operators = foreign::ensure_operators(&self.firewall);
        errors.extend(operators.map_err(self.rules()).err());
        let integrated = if self.integrate {
            self.integrate()
        } else {
            // What an earlier daemon put there, when it was wanted.
            foreign::integrate(&self.firewall, &[]).map_err(self.rules())
        };
        errors.extend(integrated.err());
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
        let mut repaired = false;
        for ipv4 in FAMILIES {
            if state.has_family(ipv4) && !self.firewall.is_present(ipv4).map_err(self.rules())? {
                self.install(&state, ipv4)?;
                repaired = true;
            }
        }
        Ok(repaired)
    }

    /// Makes the tables again what they should be, whatever they are now.
    fn put_right(&self) -> Result<()> {
        let state = self.state();
        for ipv4 in FAMILIES.into_iter().filter(|f| state.has_family(*f)) {
            self.install(&state, ipv4)?;
        }
        Ok(())
    }

    /// Puts the tables right as soon as someone takes one away, as `nft flush ruleset` or a restart
    /// of the host's firewall does, or changes anything in it, for as long as the networks are in use. The thread that sees to
    /// it ends at the first such event after that.
    ///
    /// # Errors
    /// When the kernel does not tell of changes or no thread can be started.
    pub fn watch(self: &Arc<Self>) -> Result<()> {
        let mut monitor = Monitor::open().map_err(self.rules())?;
        let (weak, table) = (Arc::downgrade(self), self.firewall.table().to_owned());
        let (kept, port) = (foreign::operators_table(&table), self.firewall.port());
        let watch = move || {
            let own = Own {
                table: &table,
                kept: &kept,
                port,
            };
            let (mut told, mut looked) = (HashSet::new(), Instant::now());
            while let Ok(heard) = monitor.wait(own) {
                let Some(fabric) = weak.upgrade() else {
                    return;
                };
                if heard.own_changed {
                    fabric.put_back();
                } else if looked.elapsed() >= TICK {
                    // Should anything not have been told.
                    looked = Instant::now();
                    fabric.put_back_missing();
                }
                if heard.kept_deleted
                    && let Err(e) = foreign::ensure_operators(&fabric.firewall)
                {
                    tracing::error!("cannot put the operator's table back: {e}");
                }
                if heard.own_changed || heard.others_changed {
                    // A firewall that reloads does so in many steps, and so does whoever goes on
                    // changing what is ours.
                    std::thread::sleep(SETTLED);
                }
                if heard.others_changed {
                    fabric.look_at_others(&mut told);
                }
            }
            tracing::error!(
                table,
                "no longer watched; a table that is changed will not be put right"
            );
        };
        let thread = std::thread::Builder::new()
            .name("nft-watch".into())
            .stack_size(256 * 1024);
        let started = thread.spawn(watch).map(drop);
        started.map_err(|e| self.rules()(e.into()))?;
        // It may have been deleted before the watch began.
        self.repair()?;
        foreign::ensure_operators(&self.firewall).map_err(self.rules())
    }

    fn put_back(&self) {
        let table = self.firewall.table();
        match self.put_right() {
            Ok(()) => tracing::warn!(table, "someone changed or deleted the table; put right"),
            Err(e) => tracing::error!(table, "cannot put the changed table right: {e}"),
        }
    }

    fn put_back_missing(&self) {
        let table = self.firewall.table();
        match self.repair() {
            Ok(false) => {}
            Ok(true) => tracing::warn!(table, "the table was gone; put back"),
            Err(e) => tracing::error!(table, "cannot put the table back: {e}"),
        }
    }

    /// After others' rules changed: lets our packets pass, or says that they do not.
    fn look_at_others(&self, told: &mut HashSet<String>) {
        match self.integrate() {
            Ok(0) => {}
            Ok(rules) => tracing::info!(rules, "let containers' packets pass others' chains"),
            Err(e) => tracing::error!("cannot let containers' packets pass others' chains: {e}"),
        }
        let warnings: HashSet<String> = self.warnings().into_iter().collect();
        for warning in warnings.difference(told) {
            tracing::warn!("{warning}");
        }
        *told = warnings;
    }

    /// Removes the tables, the links and the bridges.
    ///
    /// # Errors
    /// All that went wrong; everything else was done.
    pub fn teardown(&self) -> Result<()> {
        let mut errors = Vec::new();
        self.settle();
        let mut state = self.state();
        state.forget_containers();
        match self.repair_links(&state) {
            Ok(dead) => errors.extend(self.delete_links(&dead)),
            Err(e) => errors.push(e),
        }
        let all: Vec<String> = state.networks.keys().cloned().collect();
        drop(state);
        for network in all {
            errors.extend(self.remove(&network, false).err());
        }
        self.settle();
        for ipv4 in FAMILIES {
            errors.extend(self.firewall.delete(ipv4).map_err(self.rules()).err());
        }
        let operators = foreign::remove_unused_operators(&self.firewall);
        errors.extend(operators.map_err(self.rules()).err());
        Error::gather(errors)
    }

    /// Puts links of live containers on their bridges where they are not; returns the dead ones'.
    fn repair_links(&self, state: &State) -> Result<Vec<String>> {
        let mut dead = Vec::new();
        let mut route = self.route();
        let all = links(&mut route).map_err(Error::kernel("the host"))?;
        let hairpin = bridge::needs_hairpin();
        let mut batch = Batch::new();
        for network in state.networks.values() {
            let Some(own) = network.definition.bridge() else {
                continue;
            };
            // One that could not be loaded: its containers stay where they are.
            if network.index == NO_LINK {
                continue;
            }
            let prefix = names::link_prefix(&own.link);
            let isolated = bridge::isolates(&network.definition, own);
            let ours = network.endpoints.values().map(|e| e.link.as_str());
            let live: HashSet<&str> = ours.collect();
            for link in all
                .iter()
                .filter(|l| l.kind == "veth" && l.name.starts_with(&prefix))
            {
                if !live.contains(link.name.as_str()) {
                    // Another bridge's port is not ours, whatever its name.
                    if link.master.is_none_or(|m| m == network.index) {
                        dead.push(link.name.clone());
                    }
                    continue;
                }
                let mut change = |change| change_link(&mut batch, &link.name, change);
                let unchanged = LinkChange::default();
                if link.master != Some(network.index) || !link.up {
                    let master = Some(network.index);
                    change(LinkChange {
                        up: true,
                        master,
                        ..unchanged
                    });
                }
                if link.isolated != isolated {
                    change(LinkChange {
                        isolated: Some(isolated),
                        ..unchanged
                    });
                }
                if hairpin {
                    change(LinkChange {
                        hairpin,
                        ..unchanged
                    });
                }
            }
            for (id, endpoint) in &network.endpoints {
                if !all.iter().any(|l| l.name == endpoint.link) {
                    tracing::warn!(container = id, link = endpoint.link, "its link is gone");
                }
            }
        }
        if !batch.is_empty() {
            match route.all(&mut batch) {
                Ok(()) => {}
                // One went meanwhile, because the container just ended: look again. There is one
                // fewer each time.
                Err(e) if e.is_absent() => {
                    drop(route);
                    return self.repair_links(state);
                }
                Err(e) => return Err(Error::kernel("the host")(e)),
            }
        }
        Ok(dead)
    }

    /// Links that were made for networks and are no network's any more: a daemon died between the
    /// network's end and theirs.
    fn stray_networks(&self, state: &State) -> Result<Vec<String>> {
        let all = links(&mut self.route()).map_err(Error::kernel("the host"))?;
        let networks = state.networks.values();
        let ours: HashSet<String> = networks
            .filter_map(|n| fabric::link_of(&n.definition))
            .collect();
        let mark = self.mark();
        let strays = all.into_iter().filter(|l| l.alias == mark);
        let names = strays.map(|l| l.name).filter(|name| !ours.contains(name));
        Ok(names.collect())
    }

    fn delete_links(&self, names: &[String]) -> Option<Error> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        delete_links(&mut self.route(), &names)
            .err()
            .map(Error::kernel("the host"))
    }
}

impl State {
    fn forget_containers(&mut self) {
        self.networks.values_mut().for_each(|n| n.clear());
        self.published.clear();
        self.table = crate::ports::PortTable::default();
    }
}
