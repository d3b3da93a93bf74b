//! Limits of the whole container.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use super::{ContainerSpec, Resources};
use crate::{Error, host::Host};

/// Docker's unit of CPU quotas: a tenth of a second.
const PERIOD: i64 = 100_000;
/// Less than this, a container does not even start.
const MIN_MEMORY: i64 = 6 << 20;

pub(super) fn resources(
    spec: &ContainerSpec,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<LinuxResources, Error> {
    let given = &spec.resources;
    let mut out = LinuxResources::default();
    out.set_memory(memory(given, host, warnings)?);
    out.set_cpu(cpu(given)?);
    out.set_pids(given.pids_limit.filter(|n| *n != 0).map(|n| {
        let mut pids = LinuxPids::default();
        pids.set_limit(n.max(-1));
        pids
    }));
    if given.blkio_weight > 0 {
        if !(10..=1000).contains(&given.blkio_weight) {
            return Err(Error::Invalid(
                "range of blkio weight is from 10 to 1000".to_owned(),
            ));
        }
        let mut blkio = LinuxBlockIo::default();
        blkio.set_weight(Some(given.blkio_weight));
        out.set_block_io(Some(blkio));
    }
    Ok(out)
}

fn memory(
    given: &Resources,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<Option<LinuxMemory>, Error> {
    let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
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
    if given.memory > 0 && given.memory_reservation > given.memory {
        return invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    let mut memory = LinuxMemory::default();
    let mut any = false;
    if given.memory > 0 {
        any = true;
        memory.set_limit(Some(given.memory));
        let swap = match given.memory_swap {
            0 => given.memory.saturating_mul(2),
            other => other,
        };
        if host.swap_limit {
            memory.set_swap(Some(swap));
        } else if given.memory_swap > 0 {
            warnings.push(
                "Your kernel does not support swap limit capabilities or the cgroup is not \
                 mounted. Memory limited without swap."
                    .to_owned(),
            );
        }
    }
    if given.memory_reservation > 0 {
        any = true;
        memory.set_reservation(Some(given.memory_reservation));
    }
    match given.memory_swappiness {
        None | Some(-1) => {}
        Some(n @ 0..=100) if !host.cgroup2 => {
            any = true;
            memory.set_swappiness(Some(n as u64));
        }
        Some(0..=100) => warnings.push(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not \
             mounted. Memory swappiness discarded."
                .to_owned(),
        ),
        Some(n) => {
            return Err(Error::Invalid(format!(
                "Invalid value: {n}, valid memory swappiness range is 0-100"
            )));
        }
    }
    if given.oom_kill_disable {
        if host.cgroup2 {
            warnings.push(
                "Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned(),
            );
        } else {
            any = true;
            memory.set_disable_oom_killer(Some(true));
        }
    }
    Ok(any.then_some(memory))
}

fn cpu(given: &Resources) -> Result<Option<LinuxCpu>, Error> {
    let mut cpu = LinuxCpu::default();
    if given.nano_cpus != 0 {
        if given.cpu_period > 0 || given.cpu_quota > 0 {
            return Err(Error::Invalid(
                "Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set."
                    .to_owned(),
            ));
        }
        // Billionths of a CPU, to microseconds in a period.
        let quota = given.nano_cpus.saturating_mul(PERIOD / 1000) / 1_000_000;
        if quota < 1000 {
            return Err(Error::Invalid("NanoCPUs must be at least 0.01".to_owned()));
        }
        cpu.set_period(Some(PERIOD as u64));
        cpu.set_quota(Some(quota));
    } else {
        if given.cpu_period != 0 && !(1000..=1_000_000).contains(&given.cpu_period) {
            return Err(Error::Invalid(
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. \
                 1000000)"
                    .to_owned(),
            ));
        }
        if given.cpu_quota > 0 && given.cpu_quota < 1000 {
            return Err(Error::Invalid(
                "CPU cfs quota can not be less than 1ms (i.e. 1000)".to_owned(),
            ));
        }
        if given.cpu_period > 0 {
            cpu.set_period(Some(given.cpu_period as u64));
        }
        if given.cpu_quota != 0 {
            cpu.set_quota(Some(given.cpu_quota));
        }
    }
    if given.cpu_shares < 0 {
        return Err(Error::Invalid(format!(
            "shares {} must be greater than or equal to 0",
            given.cpu_shares
        )));
    }
    if given.cpu_shares > 0 {
        cpu.set_shares(Some(given.cpu_shares as u64));
    }
    let text = |t: &String| Some(t.clone()).filter(|t| !t.is_empty());
    cpu.set_cpus(text(&given.cpuset_cpus));
    cpu.set_mems(text(&given.cpuset_mems));
    Ok((cpu != LinuxCpu::default()).then_some(cpu))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::CapSet;

    fn host(cgroup2: bool) -> Host {
        Host {
            caps: CapSet::all(),
            oom_score_adj: 0,
            kernel: (6, 1),
            cgroup2,
            swap_limit: true,
        }
    }

    fn of(resources: Resources, cgroup2: bool) -> Result<(LinuxResources, Vec<String>), Error> {
        let spec = ContainerSpec {
            resources,
            ..ContainerSpec::default()
        };
        let mut warnings = Vec::new();
        super::resources(&spec, &host(cgroup2), &mut warnings).map(|r| (r, warnings))
    }

    #[test]
    fn nothing_given_is_nothing_set() {
        let (r, _) = of(Resources::default(), false).unwrap();
        assert!(r.memory().is_none() && r.cpu().is_none() && r.pids().is_none());
    }

    #[test]
    fn dockers_arithmetic() {
        let (r, _) = of(
            Resources {
                memory: 64 << 20,
                nano_cpus: 1_500_000_000,
                pids_limit: Some(50),
                ..Resources::default()
            },
            false,
        )
        .unwrap();
        let memory = r.memory().unwrap();
        assert_eq!(
            (memory.limit(), memory.swap()),
            (Some(64 << 20), Some(128 << 20))
        );
        let cpu = r.cpu().as_ref().unwrap();
        assert_eq!((cpu.period(), cpu.quota()), (Some(100_000), Some(150_000)));
        assert_eq!(r.pids().unwrap().limit(), 50);
    }

    #[test]
    fn refusals_and_warnings() {
        for bad in [
            Resources {
                memory: 1,
                ..Resources::default()
            },
            Resources {
                memory_swap: 1 << 30,
                ..Resources::default()
            },
            Resources {
                memory: 64 << 20,
                memory_swap: 1 << 20,
                ..Resources::default()
            },
            Resources {
                memory_swappiness: Some(101),
                ..Resources::default()
            },
            Resources {
                nano_cpus: 1,
                ..Resources::default()
            },
            Resources {
                nano_cpus: 1 << 30,
                cpu_quota: 5000,
                ..Resources::default()
            },
            Resources {
                cpu_period: 10,
                ..Resources::default()
            },
            Resources {
                blkio_weight: 5,
                ..Resources::default()
            },
        ] {
            assert!(of(bad.clone(), false).is_err(), "{bad:?}");
        }
        let given = Resources {
            oom_kill_disable: true,
            ..Resources::default()
        };
        assert_eq!(of(given.clone(), true).unwrap().1.len(), 1);
        assert!(of(given, false).unwrap().1.is_empty());
    }
}
