//! Filters made once a profile.

use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::runtime::LinuxSeccomp;

use super::{super::Result, compile};

/// How many profiles are kept: a host has the default one for a few sets of capabilities, and a
/// handful of the users' own.
const KEPT: usize = 16;

/// The filters of the profiles used last, as [`super::Filter::to_bytes`] gives them, for the daemon.
#[derive(Debug, Default)]
pub struct Cache {
    /// The one used last is at the end.
    kept: Mutex<Vec<(LinuxSeccomp, Arc<[u8]>)>>,
}

impl Cache {
    /// The filter for a profile, made now if it is not there.
    pub fn get(&self, seccomp: &LinuxSeccomp) -> Result<Arc<[u8]>> {
        if let Some(bytes) = self.find(seccomp) {
            return Ok(bytes);
        }
        // Without the lock; two at once make the same thing.
        let bytes: Arc<[u8]> = compile(seccomp)?.to_bytes().into();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((seccomp.clone(), bytes.clone()));
        Ok(bytes)
    }

    fn find(&self, seccomp: &LinuxSeccomp) -> Option<Arc<[u8]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().rposition(|(profile, _)| profile == seccomp)?;
        kept[at..].rotate_left(1);
        kept.last().map(|(_, bytes)| bytes.clone())
    }
}
