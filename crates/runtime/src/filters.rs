//! Compiled filters of system calls: one for each profile, in memory, for any number of containers.
//!
//! Nearly every container has the default profile, whose compilation takes longer than all the rest
//! of a start. So a profile is compiled once, into a sealed file of memory whose descriptor goes to
//! each shim.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use oci_spec::runtime::Spec;
use sys::memfd::Program;

use crate::oci::{self, seccomp};

/// So many profiles are kept. Whoever has more of them pays for it with time.
const MOST: usize = 32;

/// The filters that were compiled so far, by their profiles.
#[derive(Debug, Default)]
pub struct Filters(Mutex<HashMap<String, Arc<Filter>>>);

/// A compiled filter.
#[derive(Debug)]
pub struct Filter(Program);

impl Filter {
    /// The sealed file.
    pub fn as_file(&self) -> &OwnedFd {
        self.0.as_file()
    }
}

impl Filters {
    /// The filter of a configuration; none if it has none.
    ///
    /// # Errors
    /// When the profile is wrong, or there is no memory for another file.
    pub fn get(&self, spec: &Spec) -> oci::Result<Option<Arc<Filter>>> {
        use oci::Context;
        let profile = spec.linux().as_ref().and_then(|l| l.seccomp().as_ref());
        let Some(profile) = profile else {
            return Ok(None);
        };
        let key = serde_json::to_string(profile)
            .map_err(|e| oci::Error::config("linux.seccomp", e.to_string()))?;
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(Some(known.clone()));
        }
        let bytes = seccomp::compile(profile)?.to_bytes();
        let program =
            Program::new("wharf-seccomp", &bytes).context(|| "put a seccomp filter into memory")?;
        let filter = Arc::new(Filter(program));
        let mut all = lock();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(key, filter.clone());
        Ok(Some(filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_once() {
        let spec = |action: &str| -> Spec {
            serde_json::from_value(serde_json::json!({
                "ociVersion": "1.2.0",
                "linux": {"seccomp": {"defaultAction": action, "syscalls": [
                    {"names": ["getpid"], "action": "SCMP_ACT_ALLOW"},
                ]}},
            }))
            .unwrap()
        };
        let filters = Filters::default();
        let first = filters.get(&spec("SCMP_ACT_ERRNO")).unwrap().unwrap();
        let again = filters.get(&spec("SCMP_ACT_ERRNO")).unwrap().unwrap();
        let other = filters.get(&spec("SCMP_ACT_KILL")).unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
    }
}
