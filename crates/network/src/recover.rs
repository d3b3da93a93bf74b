//! Making the kernel's state match the containers again, whatever happened to either.

use std::collections::HashSet;
use std::sync::Arc;

use sys::netlink::{Batch, LinkChange, change_link, delete_links, links};
use sys::nft::Monitor;

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::network::{Network, State};
use crate::{bridge, names};

impl Network {
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
            Ok(dead) => errors.extend(self.delete_links(&dead)),
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

    /// Removes the table, the links and the bridge.
    ///
    /// # Errors
    /// All that went wrong; everything else was done.
    pub fn teardown(&self) -> Result<()> {
        let mut errors = Vec::new();
        self.settle();
        let mut state = self.state();
        *state = State::new(self.subnet);
        match self.repair_links(&state) {
            Ok(mut dead) => {
                dead.push(self.bridge.clone());
                errors.extend(self.delete_links(&dead));
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
        let isolated = bridge::isolates(self.icc);
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
            if link.isolated != isolated {
                change_link(
                    &mut batch,
                    &link.name,
                    LinkChange {
                        isolated: Some(isolated),
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
            match route.all(&mut batch) {
                Ok(_) => {}
                // One went meanwhile, because the container just ended: look again. There is one
                // fewer each time.
                Err(e) if e.is_absent() => {
                    drop(route);
                    return self.repair_links(state);
                }
                Err(e) => return Err(self.kernel(e)),
            }
        }
        for (id, endpoint) in &state.endpoints {
            if !all.iter().any(|l| l.name == endpoint.link) {
                tracing::warn!(container = id, link = endpoint.link, "its link is gone");
            }
        }
        Ok(dead)
    }

    fn delete_links(&self, names: &[String]) -> Option<Error> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        delete_links(&mut self.route(), &names)
            .err()
            .map(|e| self.kernel(e))
    }
}
