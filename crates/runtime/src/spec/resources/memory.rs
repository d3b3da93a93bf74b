//! Memory.

use oci_spec::runtime::LinuxMemory;

use super::{Judge, invalid};
use crate::{Error, spec::Resources};

/// Less than this, a container does not even start.
const MIN_MEMORY: i64 = 6 << 20;

pub(super) fn memory(
    given: &Resources,
    judge: &mut Judge<'_>,
) -> Result<Option<LinuxMemory>, Error> {
    contradictions(given)?;
    let controls = &judge.host.controls;
    let (swap_limit, swappiness, tcp) = (
        judge.host.swap_limit,
        controls.swappiness,
        controls.kernel_memory_tcp,
    );
    let mut memory = LinuxMemory::default();
    if judge.can(
        given.memory > 0,
        controls.memory,
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. \
         Limitation discarded.",
    ) {
        memory.set_limit(Some(given.memory));
        let swap = match given.memory_swap {
            0 => given.memory.saturating_mul(2),
            other => other,
        };
        if swap_limit {
            memory.set_swap(Some(swap));
        } else if given.memory_swap > 0 {
            judge.warnings.push(
                "Your kernel does not support swap limit capabilities or the cgroup is not \
                 mounted. Memory limited without swap."
                    .to_owned(),
            );
        }
    }
    if judge.can(
        given.memory_reservation > 0,
        controls.memory_reservation,
        "Your kernel does not support memory soft limit capabilities or the cgroup is not \
         mounted. Limitation discarded.",
    ) {
        memory.set_reservation(Some(given.memory_reservation));
    }
    let wanted = given.memory_swappiness.filter(|n| *n != -1);
    if judge.can(
        wanted.is_some(),
        swappiness,
        "Your kernel does not support memory swappiness capabilities or the cgroup is not \
         mounted. Memory swappiness discarded.",
    ) {
        memory.set_swappiness(wanted.and_then(|n| u64::try_from(n).ok()));
    }
    if judge.can(
        given.oom_kill_disable,
        controls.oom_kill_disable,
        "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
    ) {
        if given.memory == 0 {
            judge.warnings.push(
                "OOM killer is disabled for the container, but no memory limit is set, this can \
                 result in the system running out of resources."
                    .to_owned(),
            );
        }
        memory.set_disable_oom_killer(Some(true));
    }
    // Gone from kernels, and no OCI runtime sets it any more.
    judge.can(
        given.kernel_memory > 0,
        false,
        "Your kernel does not support kernel memory limit capabilities or the cgroup is not \
         mounted. Limitation discarded.",
    );
    if judge.can(
        given.kernel_memory_tcp > 0,
        tcp,
        "Your kernel does not support kernel memory TCP limit capabilities or the cgroup is not \
         mounted. Limitation discarded.",
    ) {
        memory.set_kernel_tcp(Some(given.kernel_memory_tcp));
    }
    Ok((memory != LinuxMemory::default()).then_some(memory))
}

fn contradictions(given: &Resources) -> Result<(), Error> {
    if given.memory != 0 && given.memory < MIN_MEMORY {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if given.memory > 0 && given.memory_swap > 0 && given.memory_swap < given.memory {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if given.memory == 0 && given.memory_swap > 0 {
        return invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if given.memory_reservation != 0 && given.memory_reservation < MIN_MEMORY {
        return invalid("Minimum memory reservation allowed is 6MB");
    }
    if given.memory > 0 && given.memory_reservation > given.memory {
        return invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    match given.memory_swappiness {
        Some(n) if n != -1 && !(0..=100).contains(&n) => invalid(format!(
            "Invalid value: {n}, valid memory swappiness range is 0-100"
        )),
        _ => Ok(()),
    }
}
