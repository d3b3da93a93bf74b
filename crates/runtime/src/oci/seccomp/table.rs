//! The numbers of system calls by architecture.
//!
//! The table is text, not an array of references: in a position-independent program each reference
//! is a relocation that dirties a page in every process. Names that no architecture here has are in
//! it too, so that a misspelt name can be told from one of another machine.

use oci_spec::runtime::Arch;

/// From the kernel's headers (6.18), sorted by name: numbers on x86_64, x86, aarch64 and arm.
const TEXT: &str = include_str!("table.txt");

/// Where arm's private calls begin; they say nothing about how new a profile is.
pub(super) const ARM_PRIVATE: u32 = 0xf_0000;

/// An architecture that programs on this machine can run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    /// As profiles name it.
    pub(super) arch: Arch,
    /// As the kernel tells filters.
    pub(super) audit: u32,
    /// Whether arguments have 64 bits.
    pub(super) wide: bool,
    column: usize,
}

pub(super) const X86_64: Machine = Machine {
    arch: Arch::ScmpArchX86_64,
    audit: 0xc000_003e,
    wide: true,
    column: 0,
};
pub(super) const X86: Machine = Machine {
    arch: Arch::ScmpArchX86,
    audit: 0x4000_0003,
    wide: false,
    column: 1,
};
#[cfg(any(test, target_arch = "aarch64"))]
pub(super) const AARCH64: Machine = Machine {
    arch: Arch::ScmpArchAarch64,
    audit: 0xc000_00b7,
    wide: true,
    column: 2,
};
#[cfg(any(test, target_arch = "aarch64"))]
pub(super) const ARM: Machine = Machine {
    arch: Arch::ScmpArchArm,
    audit: 0x4000_0028,
    wide: false,
    column: 3,
};

/// This program's architecture first, then those whose programs its kernel can run beside.
#[cfg(target_arch = "x86_64")]
pub(super) const FAMILY: [Machine; 2] = [X86_64, X86];
/// This program's architecture first, then those whose programs its kernel can run beside.
#[cfg(target_arch = "aarch64")]
pub(super) const FAMILY: [Machine; 2] = [AARCH64, ARM];

/// The table, split so that it can be searched.
pub(super) struct Table(Vec<&'static str>);

impl Table {
    pub(super) fn new() -> Self {
        Self(TEXT.lines().collect())
    }

    fn line(&self, name: &str) -> Option<&'static str> {
        let at = self
            .0
            .binary_search_by(|line| line.split(' ').next().unwrap_or_default().cmp(name))
            .ok()?;
        self.0.get(at).copied()
    }

    /// Whether any architecture has a call of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.line(name).is_some()
    }

    /// The number of a call.
    pub(super) fn number(&self, machine: Machine, name: &str) -> Option<u32> {
        self.line(name)?
            .split(' ')
            .nth(1 + machine.column)?
            .parse()
            .ok()
    }
}

/// On x86 the older ways to reach these calls: through `socketcall` or `ipc`, with which one it is in
/// the first argument. Sorted.
const MULTIPLEXED: [(&str, Through, u32); 32] = [
    ("accept", Through::Socketcall, 5),
    ("accept4", Through::Socketcall, 18),
    ("bind", Through::Socketcall, 2),
    ("connect", Through::Socketcall, 3),
    ("getpeername", Through::Socketcall, 7),
    ("getsockname", Through::Socketcall, 6),
    ("getsockopt", Through::Socketcall, 15),
    ("listen", Through::Socketcall, 4),
    ("msgctl", Through::Ipc, 14),
    ("msgget", Through::Ipc, 13),
    ("msgrcv", Through::Ipc, 12),
    ("msgsnd", Through::Ipc, 11),
    ("recv", Through::Socketcall, 10),
    ("recvfrom", Through::Socketcall, 12),
    ("recvmmsg", Through::Socketcall, 19),
    ("recvmsg", Through::Socketcall, 17),
    ("semctl", Through::Ipc, 3),
    ("semget", Through::Ipc, 2),
    ("semop", Through::Ipc, 1),
    ("semtimedop", Through::Ipc, 4),
    ("send", Through::Socketcall, 9),
    ("sendmmsg", Through::Socketcall, 20),
    ("sendmsg", Through::Socketcall, 16),
    ("sendto", Through::Socketcall, 11),
    ("setsockopt", Through::Socketcall, 14),
    ("shmat", Through::Ipc, 21),
    ("shmctl", Through::Ipc, 24),
    ("shmdt", Through::Ipc, 22),
    ("shmget", Through::Ipc, 23),
    ("shutdown", Through::Socketcall, 13),
    ("socket", Through::Socketcall, 1),
    ("socketpair", Through::Socketcall, 8),
];

/// The call that leads to several others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    Socketcall,
    Ipc,
}

impl Through {
    /// Its number on x86, the only machine here that has it.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Socketcall => 102,
            Self::Ipc => 117,
        }
    }
}

/// How else this call can be made on that machine: through which, and the first argument.
pub(super) fn multiplexed(machine: Machine, name: &str) -> Option<(Through, u32)> {
    if machine != X86 {
        return None;
    }
    let at = MULTIPLEXED.binary_search_by_key(&name, |m| m.0).ok()?;
    MULTIPLEXED.get(at).map(|m| (m.1, m.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_complete() {
        let table = Table::new();
        assert!(table.0.is_sorted_by_key(|line| line.split(' ').next()));
        assert!(MULTIPLEXED.is_sorted_by_key(|m| m.0));
        for line in &table.0 {
            assert_eq!(line.split(' ').count(), 5, "{line}");
        }
        for (name, machine, number) in [
            ("read", X86_64, Some(0)),
            ("read", X86, Some(3)),
            ("read", AARCH64, Some(63)),
            ("read", ARM, Some(3)),
            ("open", AARCH64, None),
            ("clone3", X86_64, Some(435)),
            ("set_tls", ARM, Some(0xf_0005)),
            ("socketcall", X86, Some(102)),
            ("ipc", X86, Some(117)),
            ("zebra", X86, None),
        ] {
            assert_eq!(table.number(machine, name), number, "{name}");
        }
        assert!(table.knows("s390_pci_mmio_read") && !table.knows("raed"));
    }
}
