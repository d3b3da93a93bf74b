//! What this host, and this daemon on it, can give to containers.

use std::{fs, path::Path};

use crate::{caps::CapSet, controls::Controls};

/// Facts that do not change while the daemon runs. Found out once ([`Host::detect`]).
#[derive(Debug, Clone)]
pub struct Host {
    /// What the daemon itself may pass on.
    pub caps: CapSet,
    /// Its own `oom_score_adj`; without CAP_SYS_RESOURCE nothing can go below.
    pub oom_score_adj: i32,
    /// The kernel's version.
    pub kernel: (u32, u32),
    /// Only the unified hierarchy, version 2?
    pub cgroup2: bool,
    /// Can swap be limited?
    pub swap_limit: bool,
    /// Which limits it has.
    pub controls: Controls,
}

impl Host {
    /// Looks.
    pub fn detect() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let set = |name: &str| {
            let bits = status
                .lines()
                .find_map(|l| l.strip_prefix(name))
                .and_then(|v| u64::from_str_radix(v.trim(), 16).ok());
            CapSet::from_bits(bits.unwrap_or(0))
        };
        let uname = rustix::system::uname();
        let cgroup2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        Self {
            caps: set("CapPrm:").and(set("CapBnd:")),
            oom_score_adj: fs::read_to_string("/proc/self/oom_score_adj")
                .ok()
                .and_then(|t| t.trim().parse().ok())
                .unwrap_or(0),
            kernel: parse_version(&uname.release().to_string_lossy()).unwrap_or((0, 0)),
            cgroup2,
            swap_limit: swap_limit(),
            controls: Controls::detect(cgroup2),
        }
    }

    /// May limits be raised, and scores lowered?
    pub fn may_raise(&self) -> bool {
        self.caps.has("CAP_SYS_RESOURCE")
    }
}

/// `6.1.0-13-amd64` is (6, 1).
pub(crate) fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn swap_limit() -> bool {
    let hierarchies = sys::cgroup::hierarchies().unwrap_or_default();
    hierarchies.iter().any(|h| match &h.controllers {
        Some(c) => {
            c.iter().any(|c| c == "memory") && h.mount.join("memory.memsw.limit_in_bytes").exists()
        }
        // The root has no such file; any child that has the controller does.
        None => fs::read_dir(&h.mount).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|e| e.path().join("memory.swap.max").exists())
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(parse_version("4.8"), Some((4, 8)));
        assert_eq!(parse_version("six"), None);
    }

    #[test]
    fn this_host() {
        let host = Host::detect();
        assert!(
            host.kernel >= (5, 10) && host.caps.has("CAP_CHOWN"),
            "{host:?}"
        );
    }
}
