//! Limits of the whole container.
//!
//! A contradiction is an error in Docker's words; a limit that this kernel lacks is discarded with
//! Docker's warning.

mod blkio;
mod cpu;
mod memory;

use oci_spec::runtime::{LinuxPids, LinuxResources};

use super::{ContainerSpec, Resources};
use crate::{Error, host::Host};

/// What is said of limits.
struct Judge<'a> {
    host: &'a Host,
    warnings: &'a mut Vec<String>,
}

impl Judge<'_> {
    /// Whether a limit that was given (`wanted`) can be set; a warning if it cannot.
    fn can(&mut self, wanted: bool, able: bool, what: &str) -> bool {
        if wanted && !able {
            self.warnings.push(what.to_owned());
        }
        wanted && able
    }
}

fn invalid<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(text.into()))
}

/// The limits alone, for a container that runs.
///
/// # Errors
/// A contradiction among them, in Docker's words.
pub fn limits(given: &Resources, host: &Host) -> Result<LinuxResources, Error> {
    let spec = ContainerSpec {
        resources: given.clone(),
        ..ContainerSpec::default()
    };
    // What is left out was told when they were judged.
    resources(&spec, host, &mut Vec::new())
}

pub(super) fn resources(
    spec: &ContainerSpec,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<LinuxResources, Error> {
    let given = &spec.resources;
    let mut judge = Judge { host, warnings };
    let mut out = LinuxResources::default();
    out.set_memory(memory::memory(given, &mut judge)?);
    out.set_cpu(cpu::cpu(given, &mut judge)?);
    out.set_block_io(blkio::blkio(given, &mut judge)?);
    let limit = given.pids_limit.filter(|n| *n != 0);
    let able = judge.can(
        limit.is_some_and(|n| n > 0),
        host.controls.pids,
        "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs \
         limit discarded.",
    );
    out.set_pids(limit.filter(|_| able || host.controls.pids).map(|n| {
        let mut pids = LinuxPids::default();
        pids.set_limit(n.max(-1));
        pids
    }));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{caps::CapSet, controls::Controls};

    fn host(cgroup2: bool) -> Host {
        Host {
            caps: CapSet::all(),
            oom_score_adj: 0,
            kernel: (6, 1),
            cgroup2,
            swap_limit: true,
            controls: Controls {
                oom_kill_disable: !cgroup2,
                ..Controls::default()
            },
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
                memory_reservation: 1 << 20,
                ..Resources::default()
            },
            Resources {
                cpuset_cpus: "7".to_owned(),
                ..Resources::default()
            },
            Resources {
                cpuset_mems: "x".to_owned(),
                ..Resources::default()
            },
            Resources {
                cpu_rt_period: 10,
                cpu_rt_runtime: 20,
                ..Resources::default()
            },
            Resources {
                nano_cpus: 1 << 30,
                cpu_period: 5000,
                ..Resources::default()
            },
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
            memory: 64 << 20,
            oom_kill_disable: true,
            ..Resources::default()
        };
        assert_eq!(of(given.clone(), true).unwrap().1.len(), 1);
        assert!(of(given, false).unwrap().1.is_empty());
    }
}
