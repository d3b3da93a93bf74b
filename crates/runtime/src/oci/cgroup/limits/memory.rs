//! `linux.resources.memory`.

use oci_spec::runtime::LinuxMemory;

use super::super::super::error::{Error, Result};
use super::{
    convert,
    knob::{Controller, Controllers, number},
};

const LIMIT: &str = "linux.resources.memory.limit";
const RESERVATION: &str = "linux.resources.memory.reservation";
const SWAP: &str = "linux.resources.memory.swap";
const SWAPPINESS: &str = "linux.resources.memory.swappiness";
const OOM: &str = "linux.resources.memory.disableOOMKiller";
const HIERARCHY: &str = "linux.resources.memory.useHierarchy";
const TCP: &str = "linux.resources.memory.kernelTCP";

pub(super) fn apply(have: &Controllers<'_>, m: &LinuxMemory) -> Result<()> {
    // Kernel memory has no limit of its own since Linux 5.16; it counts as memory. No limit is
    // what there is.
    if m.kernel().is_some_and(|k| k > 0) {
        return Err(Error::Unsupported(
            "linux.resources.memory.kernel: kernels have no limit of kernel memory any more; it \
             counts as memory, so set memory.limit"
                .into(),
        ));
    }
    let memory = have.need("memory", "memory", first(m))?;
    if m.check_before_update() == Some(true) {
        check(&memory, m)?;
    }
    if memory.v2 {
        v2(&memory, m)
    } else {
        v1(&memory, m)
    }
}

/// The member that an error about the controller itself names.
fn first(m: &LinuxMemory) -> &'static str {
    if m.limit().is_some() {
        LIMIT
    } else if m.reservation().is_some() {
        RESERVATION
    } else if m.swap().is_some() {
        SWAP
    } else {
        "linux.resources.memory"
    }
}

/// A limit below what is used would make the kernel kill: whoever asks for the check wants to be
/// told instead.
fn check(memory: &Controller, m: &LinuxMemory) -> Result<()> {
    let usage = |file: &str| memory.number(file);
    let both = if memory.v2 {
        "memory.current"
    } else {
        "memory.memsw.usage_in_bytes"
    };
    let alone = if memory.v2 {
        "memory.current"
    } else {
        "memory.usage_in_bytes"
    };
    for (name, limit, file) in [(LIMIT, m.limit(), alone), (SWAP, m.swap(), both)] {
        let Some(limit) = limit.and_then(|l| u64::try_from(l).ok()).filter(|l| *l > 0) else {
            continue;
        };
        if !memory.has(file) {
            continue;
        }
        let used = usage(file)?;
        if limit < used {
            return Err(Error::State(format!(
                "{name}: {limit} bytes are less than the {used} that are in use (checkBeforeUpdate)"
            )));
        }
    }
    Ok(())
}

fn page() -> u64 {
    rustix::param::page_size() as u64
}

fn v1(memory: &Controller, m: &LinuxMemory) -> Result<()> {
    if let Some(wanted) = m.use_hierarchy() {
        memory.exact(
            HIERARCHY,
            "memory.use_hierarchy",
            if wanted { "1" } else { "0" },
        )?;
    }
    memory_and_swap(memory, m.limit().unwrap_or(0), m.swap().unwrap_or(0))?;
    if let Some(n) = m.reservation().filter(|n| *n != 0) {
        memory.bytes(RESERVATION, "memory.soft_limit_in_bytes", n, page())?;
    }
    if let Some(n) = m.kernel_tcp().filter(|n| *n != 0) {
        memory.bytes(TCP, "memory.kmem.tcp.limit_in_bytes", n, page())?;
    }
    if let Some(n) = m.swappiness() {
        memory.exact(SWAPPINESS, "memory.swappiness", &n.to_string())?;
    }
    if let Some(off) = m.disable_oom_killer() {
        let value = if off { "1" } else { "0" };
        memory.set(OOM, "memory.oom_control", value, |found| {
            found
                .lines()
                .any(|l| l.strip_prefix("oom_kill_disable ") == Some(value))
        })?;
    }
    Ok(())
}

/// The kernel wants memory ≤ memory and swap together at every moment, so a limit that grows is
/// made room for first.
fn memory_and_swap(memory: &Controller, limit: i64, mut swap: i64) -> Result<()> {
    const MEMSW: &str = "memory.memsw.limit_in_bytes";
    const MEM: &str = "memory.limit_in_bytes";
    // No limit of memory with one of both together cannot be, so it is lifted too.
    if limit < 0 && swap == 0 && memory.has(MEMSW) {
        swap = -1;
    }
    let set_limit = || match limit {
        0 => Ok(()),
        _ => memory.bytes(LIMIT, MEM, limit, page()),
    };
    let set_swap = || match swap {
        0 => Ok(()),
        _ => memory.bytes(SWAP, MEMSW, swap, page()),
    };
    if limit != 0 && swap != 0 {
        let now = memory.number(MEM)?;
        if swap < 0 || u64::try_from(swap).is_ok_and(|s| now < s) {
            set_swap()?;
            return set_limit();
        }
    }
    set_limit()?;
    set_swap()
}

fn v2(memory: &Controller, m: &LinuxMemory) -> Result<()> {
    let only_v1 = |name: &str| {
        Err(Error::Unsupported(format!(
            "{name}: version 2 of cgroups, which this host has, has no such limit"
        )))
    };
    if m.swappiness().is_some() {
        return only_v1(SWAPPINESS);
    }
    if m.disable_oom_killer() == Some(true) {
        return only_v1(OOM);
    }
    if m.use_hierarchy() == Some(false) {
        return only_v1(HIERARCHY);
    }
    if m.kernel_tcp().is_some_and(|n| n > 0) {
        return only_v1(TCP);
    }
    let (limit, both) = (m.limit().unwrap_or(0), m.swap().unwrap_or(0));
    // An update of swap alone is meant with the limit that is there.
    let known = if limit == 0 && both > 0 {
        number(&memory.read("memory.max")?)
            .and_then(|n| i64::try_from(n).ok())
            .unwrap_or(0)
    } else {
        limit
    };
    if let Some(swap) = convert::swap(known, both)? {
        // A kernel without swap has no file, and neither a need for one.
        let nothing_to_limit = swap <= 0 && !memory.has("memory.swap.max");
        if !nothing_to_limit {
            memory.bytes(SWAP, "memory.swap.max", swap, page())?;
        }
    }
    if limit != 0 {
        memory.bytes(LIMIT, "memory.max", limit, page())?;
    }
    if let Some(n) = m.reservation().filter(|n| *n != 0) {
        memory.bytes(RESERVATION, "memory.low", n, page())?;
    }
    Ok(())
}
