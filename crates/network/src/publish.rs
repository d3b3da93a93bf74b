//! A container's published ports: bound first, led to its address later, and taken from it.

use std::os::fd::OwnedFd;

use crate::endpoint::{PortRequest, Published, PublishedPort, Target};
use crate::error::Result;
use crate::fabric::Fabric;
use crate::ports::Families;

impl Fabric {
    /// Binds a container's ports, in these families (IPv4, IPv6), without leading them anywhere.
    /// The sockets are to be kept open while the container runs: they keep everyone else from taking
    /// the ports.
    ///
    /// # Errors
    /// When one is taken or cannot be had; then it has none.
    pub fn reserve_ports(
        &self,
        id: &str,
        [ipv4, ipv6]: [bool; 2],
        requests: &[PortRequest],
    ) -> Result<(Vec<PublishedPort>, Vec<OwnedFd>)> {
        let mut state = self.state();
        let families = Families { ipv4, ipv6 };
        let (ports, held) = state.table.publish(id, families, requests)?;
        let published = Published {
            ports: ports.clone(),
            target: Target::default(),
        };
        state.published.insert(id.to_owned(), published);
        Ok((ports, held))
    }

    /// Leads a container's reserved ports to an address of its, or to another one than before.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn publish(&self, id: &str, target: Target) -> Result<()> {
        let mut state = self.state();
        let Some(published) = state.published.get_mut(id) else {
            return Ok(());
        };
        if published.target == target || published.ports.is_empty() {
            return Ok(());
        }
        let old = std::mem::replace(&mut published.target, target);
        let new = published.clone();
        let before = Published {
            ports: new.ports.clone(),
            target: old,
        };
        // Under the lock: a repair must not put the old ones back.
        if old != Target::default() {
            self.firewall.withdraw(&before).map_err(self.rules())?;
        }
        self.firewall.publish(&new).map_err(self.rules())?;
        drop(state);
        self.forget_translated(&before);
        self.forget_untranslated(&new);
        Ok(())
    }

    /// Takes a container's ports from it.
    ///
    /// # Errors
    /// When the kernel refuses something; they are free all the same.
    pub fn withdraw(&self, id: &str) -> Result<()> {
        let mut state = self.state();
        let Some(published) = state.published.remove(id) else {
            return Ok(());
        };
        let withdrawn = self.firewall.withdraw(&published);
        drop(state);
        self.forget_translated(&published);
        // Nobody gets its ports before its traces are gone.
        let mut state = self.state();
        for port in &published.ports {
            state.table.remove(id, port);
        }
        withdrawn.map_err(self.rules())
    }
}
