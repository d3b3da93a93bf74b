//! A container in a network: how it comes into it, and out again.

use std::os::fd::BorrowedFd;

use sys::netlink::Socket;

use crate::endpoint::{Endpoint, Request};
use crate::error::{Error, Result};
use crate::fabric::{Fabric, NO_LINK};
use crate::wire::Wire;

impl Fabric {
    /// Puts a container into a network: its addresses, and its link in its namespace.
    ///
    /// # Errors
    /// When an address is taken, cannot be had, or none is left, or the kernel refuses something;
    /// nothing is left of it then.
    pub fn connect(
        &self,
        network: &str,
        id: &str,
        netns: BorrowedFd<'_>,
        request: &Request,
    ) -> Result<Endpoint> {
        let linkless = {
            let mut state = self.state();
            let network = state.network(network)?;
            (network.index == NO_LINK).then(|| network.definition.clone())
        };
        if let Some(definition) = linkless {
            self.load(&definition)?;
        }
        let (definition, index, endpoint) = {
            let mut state = self.state();
            let network = state.network(network)?;
            let endpoint = network.reserve(id, request)?;
            (network.definition.clone(), network.index, endpoint)
        };
        let wire = Wire {
            id,
            network: &definition,
            index,
            endpoint: &endpoint,
            request,
        };
        let host = |work: &mut dyn FnMut(&mut Socket) -> Result<()>| work(&mut self.route());
        let mut done = wire.connect(netns, host);
        if matches!(&done, Err(Error::Kernel { source, .. }) if source.is_present()) {
            // The namespace's own earlier link may be about to go, or a daemon died before it noted
            // one that has no end on the host.
            self.settle();
            if self.is_stray(id, &endpoint) {
                self.unplug(id, netns, &endpoint)?;
            }
            done = wire.connect(netns, host);
        }
        let mut errors = Vec::from_iter(done.err());
        if errors.is_empty() && self.endpoint(network, id).as_ref() != Some(&endpoint) {
            // Disconnected meanwhile.
            errors.push(Error::NotConnected {
                id: id.into(),
                network: definition.name.clone(),
            });
        }
        if errors.is_empty() {
            return Ok(endpoint);
        }
        errors.extend(self.disconnect(network, id).err());
        if endpoint.link.is_empty() {
            // It may have been made before something failed.
            let _ = self.unplug(id, netns, &endpoint);
        }
        // Also when someone else's disconnect came before the link was made.
        if !endpoint.link.is_empty() {
            self.reaper.delete(&endpoint.link);
        }
        Err(Error::gather(errors).err().unwrap_or(Error::NoSubnet))
    }

    /// Whether a link without an end on the host, which is about to be made, can only be there because
    /// nobody knows of it: no other network has one of that name in the container.
    fn is_stray(&self, id: &str, endpoint: &Endpoint) -> bool {
        let state = self.state();
        let ends = state.networks.values().filter_map(|n| n.endpoints.get(id));
        let same = ends.filter(|e| e.inside == endpoint.inside).count();
        endpoint.link.is_empty() && same == 1
    }

    /// Where a container is in a network.
    #[must_use]
    pub fn endpoint(&self, network: &str, id: &str) -> Option<Endpoint> {
        let state = self.state();
        state.networks.get(network)?.endpoints.get(id).cloned()
    }

    /// Takes a container from a network. One that is not there is no error. Its link goes in the
    /// background ([`Fabric::settle`]); one without an end on the host goes with its namespace, or by
    /// [`Fabric::unplug`].
    ///
    /// # Errors
    /// When the network is not there.
    pub fn disconnect(&self, network: &str, id: &str) -> Result<()> {
        let mut state = self.state();
        let network = state.network(network)?;
        if let Some(endpoint) = network.endpoints.remove(id) {
            if !endpoint.link.is_empty() {
                self.reaper.delete(&endpoint.link);
            }
            network.release(&endpoint);
        }
        Ok(())
    }

    /// Takes a container's end of a link that has none on the host from its namespace.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn unplug(&self, id: &str, netns: BorrowedFd<'_>, endpoint: &Endpoint) -> Result<()> {
        if !endpoint.link.is_empty() {
            return Ok(());
        }
        let mut socket = crate::wire::socket(id, netns)?;
        sys::netlink::delete_links(&mut socket, &[&endpoint.inside])
            .map_err(Error::kernel("a container"))
    }

    /// Makes a container's default routes those by `endpoint`, or none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn route_by(
        &self,
        id: &str,
        netns: BorrowedFd<'_>,
        endpoints: [Option<&Endpoint>; 2],
    ) -> Result<()> {
        crate::wire::route_by(id, netns, endpoints)
    }

    /// Takes a container from all networks, and its published ports from it.
    ///
    /// # Errors
    /// All that went wrong; everything else was done.
    pub fn forget(&self, id: &str) -> Result<()> {
        let mut errors = Vec::from_iter(self.withdraw(id).err());
        let all: Vec<String> = self.state().networks.keys().cloned().collect();
        for network in all {
            errors.extend(self.disconnect(&network, id).err());
        }
        Error::gather(errors)
    }
}
