//! Capabilities: their names, Docker's default set, and what the host itself has to give.

use oci_spec::runtime::{Capabilities, Capability};

#[cfg(feature = "full")]
use crate::Error;

/// In the kernel's order: the position is the number.
const ALL: [(&str, Capability); 41] = [
    ("CAP_CHOWN", Capability::Chown),
    ("CAP_DAC_OVERRIDE", Capability::DacOverride),
    ("CAP_DAC_READ_SEARCH", Capability::DacReadSearch),
    ("CAP_FOWNER", Capability::Fowner),
    ("CAP_FSETID", Capability::Fsetid),
    ("CAP_KILL", Capability::Kill),
    ("CAP_SETGID", Capability::Setgid),
    ("CAP_SETUID", Capability::Setuid),
    ("CAP_SETPCAP", Capability::Setpcap),
    ("CAP_LINUX_IMMUTABLE", Capability::LinuxImmutable),
    ("CAP_NET_BIND_SERVICE", Capability::NetBindService),
    ("CAP_NET_BROADCAST", Capability::NetBroadcast),
    ("CAP_NET_ADMIN", Capability::NetAdmin),
    ("CAP_NET_RAW", Capability::NetRaw),
    ("CAP_IPC_LOCK", Capability::IpcLock),
    ("CAP_IPC_OWNER", Capability::IpcOwner),
    ("CAP_SYS_MODULE", Capability::SysModule),
    ("CAP_SYS_RAWIO", Capability::SysRawio),
    ("CAP_SYS_CHROOT", Capability::SysChroot),
    ("CAP_SYS_PTRACE", Capability::SysPtrace),
    ("CAP_SYS_PACCT", Capability::SysPacct),
    ("CAP_SYS_ADMIN", Capability::SysAdmin),
    ("CAP_SYS_BOOT", Capability::SysBoot),
    ("CAP_SYS_NICE", Capability::SysNice),
    ("CAP_SYS_RESOURCE", Capability::SysResource),
    ("CAP_SYS_TIME", Capability::SysTime),
    ("CAP_SYS_TTY_CONFIG", Capability::SysTtyConfig),
    ("CAP_MKNOD", Capability::Mknod),
    ("CAP_LEASE", Capability::Lease),
    ("CAP_AUDIT_WRITE", Capability::AuditWrite),
    ("CAP_AUDIT_CONTROL", Capability::AuditControl),
    ("CAP_SETFCAP", Capability::Setfcap),
    ("CAP_MAC_OVERRIDE", Capability::MacOverride),
    ("CAP_MAC_ADMIN", Capability::MacAdmin),
    ("CAP_SYSLOG", Capability::Syslog),
    ("CAP_WAKE_ALARM", Capability::WakeAlarm),
    ("CAP_BLOCK_SUSPEND", Capability::BlockSuspend),
    ("CAP_AUDIT_READ", Capability::AuditRead),
    ("CAP_PERFMON", Capability::Perfmon),
    ("CAP_BPF", Capability::Bpf),
    ("CAP_CHECKPOINT_RESTORE", Capability::CheckpointRestore),
];

/// Docker's default set.
#[cfg(feature = "full")]
const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CapSet(u64);

impl CapSet {
    /// Every capability this program knows by name.
    pub const fn all() -> Self {
        Self((1 << ALL.len()) - 1)
    }

    /// Those with these numbers, as the kernel writes sets; unknown ones are left out.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::all().0)
    }

    /// Docker's default set.
    #[cfg(feature = "full")]
    pub fn docker() -> Self {
        DEFAULT
            .iter()
            .filter_map(|n| find(n))
            .fold(Self(0), |set, n| Self(set.0 | 1 << n))
    }

    /// Those of a list of `config.json`.
    pub(crate) fn from_oci(list: &Capabilities) -> Self {
        let number = |cap| ALL.iter().position(|(_, c)| c == cap);
        Self(
            list.iter()
                .filter_map(number)
                .fold(0, |set, n| set | 1 << n),
        )
    }

    /// As the kernel writes sets.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Is the capability of this name in the set? Unknown ones are in none.
    pub fn has(self, name: &str) -> bool {
        find(name).is_some_and(|n| self.0 & 1 << n != 0)
    }

    /// What is in both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this one only.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Nothing?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, in the kernel's order.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(|(name, _)| *name).collect()
    }

    #[cfg(feature = "full")]
    pub(crate) fn to_oci(self) -> Capabilities {
        self.iter().map(|(_, cap)| *cap).collect()
    }

    fn iter(self) -> impl Iterator<Item = &'static (&'static str, Capability)> {
        ALL.iter()
            .enumerate()
            .filter(move |(n, _)| self.0 & 1 << n != 0)
            .map(|(_, cap)| cap)
    }
}

fn find(name: &str) -> Option<usize> {
    ALL.iter().position(|(n, _)| *n == name)
}

#[cfg(feature = "full")]
/// A list as users write it: `CAP_` may be missing, case does not matter; `None` for `ALL`.
fn parse_list(flag: &str, list: &[String]) -> Result<(CapSet, bool), Error> {
    let (mut set, mut all) = (CapSet(0), false);
    for text in list {
        let upper = text.trim().to_ascii_uppercase();
        if upper == "ALL" || upper == "CAP_ALL" {
            all = true;
            continue;
        }
        let name = if upper.starts_with("CAP_") {
            upper
        } else {
            format!("CAP_{upper}")
        };
        let number = find(&name).ok_or_else(|| {
            Error::Invalid(format!("invalid {flag}: unknown capability: {name:?}"))
        })?;
        set.0 |= 1 << number;
    }
    Ok((set, all))
}

#[cfg(feature = "full")]
/// The set a container is to have, by Docker's rules. What the host can give is another matter.
pub fn resolve(add: &[String], drop: &[String], privileged: bool) -> Result<CapSet, Error> {
    let (add, add_all) = parse_list("CapAdd", add)?;
    let (drop, drop_all) = parse_list("CapDrop", drop)?;
    Ok(if privileged {
        CapSet::all()
    } else if add_all {
        CapSet::all().minus(drop)
    } else if drop_all {
        add
    } else {
        CapSet(CapSet::docker().minus(drop).0 | add.0)
    })
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn docker_default() {
        let set = resolve(&[], &[], false).unwrap();
        assert_eq!(set.names().len(), 14);
        assert!(set.has("CAP_NET_RAW") && !set.has("CAP_SYS_ADMIN"));
    }

    #[test]
    fn adding_and_dropping() {
        let of = |add: &[&str], drop: &[&str]| resolve(&list(add), &list(drop), false).unwrap();
        let set = of(&["sys_admin"], &["Cap_Chown"]);
        assert!(set.has("CAP_SYS_ADMIN") && !set.has("CAP_CHOWN") && set.has("CAP_KILL"));
        assert_eq!(of(&["NET_ADMIN"], &["all"]).names(), ["CAP_NET_ADMIN"]);
        assert_eq!(
            of(&["ALL"], &["MKNOD"]),
            CapSet::all().minus(of(&["MKNOD"], &["ALL"]))
        );
        assert_eq!(
            resolve(&[], &list(&["CHOWN"]), true).unwrap(),
            CapSet::all()
        );
        assert!(of(&[], &["ALL"]).is_empty());
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = resolve(&list(&["fly"]), &[], false)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "invalid CapAdd: unknown capability: \"CAP_FLY\"");
        let error = resolve(&[], &list(&["CAP_"]), true)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("invalid CapDrop"), "{error}");
    }
}
