//! What other firewalls' rules do to our packets, and what is done about it.

use crate::error::Result;
use crate::fabric::Fabric;
use crate::foreign;

impl Fabric {
    /// Rules of others that keep packets from containers, each with the rule that helps.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let (bridges, ipv6) = {
            let state = self.state();
            (state.bridges(), state.has_family(false))
        };
        foreign::warnings(&self.firewall, &bridges, ipv6).unwrap_or_else(|e| {
            vec![format!(
                "cannot tell whether other firewall rules block containers: {e}"
            )]
        })
    }

    /// The names of the daemon's tables and of the operator's own.
    #[must_use]
    pub fn tables(&self) -> (String, String) {
        let own = self.firewall.table();
        (own.to_owned(), foreign::operators_table(own))
    }

    /// Whether chains of others are given rules of ours.
    #[must_use]
    pub fn integrates(&self) -> bool {
        self.integrate
    }

    /// Where it is wanted, makes chains of others that drop let our bridges' packets pass. Answers how
    /// many rules were put or taken.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn integrate(&self) -> Result<usize> {
        if !self.integrate {
            return Ok(0);
        }
        let bridges = self.state().bridges();
        foreign::integrate(&self.firewall, &bridges).map_err(self.rules())
    }
}
