//! Capabilities, in the order in which they can be given up.

use oci_spec::runtime::{Capabilities, LinuxCapabilities};
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
        configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
        set_keep_capabilities,
    },
};

use crate::{
    caps::CapSet,
    oci::{Context, Error, Result},
};

/// What the process shall hold. A set that `config.json` does not give is empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    bounding: u64,
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
}

impl Caps {
    pub(super) fn new(given: Option<&LinuxCapabilities>) -> Self {
        let bits = |set: fn(&LinuxCapabilities) -> &Option<Capabilities>| {
            let list = given.and_then(|g| set(g).as_ref());
            list.map_or(0, |list| CapSet::from_oci(list).bits())
        };
        let permitted = bits(LinuxCapabilities::permitted);
        let inheritable = bits(LinuxCapabilities::inheritable);
        Self {
            bounding: bits(LinuxCapabilities::bounding),
            effective: bits(LinuxCapabilities::effective),
            permitted,
            inheritable,
            // The kernel's own rule. runc's configurations name more, and are meant so.
            ambient: bits(LinuxCapabilities::ambient) & permitted & inheritable,
        }
    }

    /// Bounds what any later program can get, and lets the capabilities survive a change of user.
    pub(super) fn bound(&self) -> Result<()> {
        for number in 0..64u64 {
            let one = 1 << number;
            if self.bounding & one != 0 {
                continue;
            }
            match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(one)) {
                Ok(()) => {}
                // The kernel knows no higher ones.
                Err(Errno::INVAL) => break,
                Err(e) => return Err(e).context(|| "drop capabilities from the bounding set"),
            }
        }
        set_keep_capabilities(true).context(|| "keep capabilities")
    }

    /// After a change of user: effective is what the program will have, and the rest is permitted.
    pub(super) fn hold_back(&self) -> Result<()> {
        set_keep_capabilities(false).context(|| "keep capabilities")?;
        let mut held = capabilities(None).context(|| "read capabilities")?;
        held.effective = CapabilitySet::from_bits_retain(self.effective) & held.permitted;
        set_capabilities(None, held).context(|| "hold back capabilities")
    }

    /// What is still permitted becomes effective again.
    pub(super) fn regain(&self) -> Result<()> {
        let mut held = capabilities(None).context(|| "read capabilities")?;
        held.effective = held.permitted;
        set_capabilities(None, held).context(|| "regain capabilities")
    }

    /// Holds exactly what was asked for.
    pub(super) fn apply(&self) -> Result<()> {
        let set = CapabilitySet::from_bits_retain;
        let sets = CapabilitySets {
            effective: set(self.effective),
            permitted: set(self.permitted),
            inheritable: set(self.inheritable),
        };
        set_capabilities(None, sets).map_err(|e| self.refused(e))?;
        clear_ambient_capability_set().context(|| "clear ambient capabilities")?;
        for number in 0..64u64 {
            let one = 1 << number;
            if self.ambient & one != 0 {
                configure_capability_in_ambient_set(set(one), true).context(|| {
                    let name = CapSet::from_bits(one).names().join("");
                    format!("raise the ambient capability {name}")
                })?;
            }
        }
        Ok(())
    }

    fn refused(&self, errno: Errno) -> Error {
        let held = capabilities(None).map_or(0, |held| held.permitted.bits());
        let missing = CapSet::from_bits((self.permitted | self.effective) & !held);
        Error::System {
            what: if missing.is_empty() {
                "unable to apply caps".to_owned()
            } else {
                format!(
                    "unable to apply caps: {} cannot be given since this process does not hold them",
                    missing.names().join(", ")
                )
            },
            source: errno.into(),
        }
    }
}
