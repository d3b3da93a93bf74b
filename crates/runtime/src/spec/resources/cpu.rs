//! Processors.

use std::collections::BTreeSet;

use oci_spec::runtime::LinuxCpu;

use super::{Judge, invalid};
use crate::{Error, spec::Resources};

/// Docker's unit of CPU quotas: a tenth of a second.
const PERIOD: i64 = 100_000;
/// More than any kernel has; bounds what a range may name.
const MOST: usize = 8192;

pub(super) fn cpu(given: &Resources, judge: &mut Judge<'_>) -> Result<Option<LinuxCpu>, Error> {
    let mut cpu = LinuxCpu::default();
    quota(given, judge, &mut cpu)?;
    realtime(given, judge, &mut cpu)?;
    if given.cpu_shares < 0 {
        return invalid(format!(
            "shares {} must be greater than or equal to 0",
            given.cpu_shares
        ));
    }
    if judge.can(
        given.cpu_shares > 0,
        judge.host.controls.cpu_shares,
        "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
    ) {
        cpu.set_shares(Some(given.cpu_shares.unsigned_abs()));
    }
    cpuset(given, judge, &mut cpu)?;
    Ok((cpu != LinuxCpu::default()).then_some(cpu))
}

fn quota(given: &Resources, judge: &mut Judge<'_>, cpu: &mut LinuxCpu) -> Result<(), Error> {
    let able = judge.host.controls.cpu_quota;
    if given.nano_cpus != 0 {
        if given.cpu_period > 0 {
            return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
        }
        if given.cpu_quota > 0 {
            return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
        }
        if !able {
            return invalid(
                "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or \
                 the cgroup is not mounted",
            );
        }
        // Billionths of a CPU, to microseconds in a period.
        let quota = given.nano_cpus.saturating_mul(PERIOD / 1000) / 1_000_000;
        if quota < 1000 {
            return invalid("NanoCPUs must be at least 0.01");
        }
        cpu.set_period(Some(PERIOD.unsigned_abs()));
        cpu.set_quota(Some(quota));
        return Ok(());
    }
    if given.cpu_period != 0 && !(1000..=1_000_000).contains(&given.cpu_period) {
        return invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if given.cpu_quota > 0 && given.cpu_quota < 1000 {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if judge.can(
        given.cpu_period != 0 || given.cpu_quota != 0,
        able,
        "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
    ) {
        cpu.set_period((given.cpu_period > 0).then_some(given.cpu_period.unsigned_abs()));
        cpu.set_quota((given.cpu_quota != 0).then_some(given.cpu_quota));
    }
    Ok(())
}

fn realtime(given: &Resources, judge: &Judge<'_>, cpu: &mut LinuxCpu) -> Result<(), Error> {
    let (period, runtime) = (given.cpu_rt_period, given.cpu_rt_runtime);
    if period == 0 && runtime == 0 {
        return Ok(());
    }
    if !judge.host.controls.cpu_realtime {
        return invalid("Your kernel does not support CPU real-time scheduler");
    }
    if period != 0 && runtime > period {
        return invalid("cpu real-time runtime cannot be higher than cpu real-time period");
    }
    if period < 0 || runtime < 0 {
        return invalid("cpu real-time period and runtime cannot be negative");
    }
    cpu.set_realtime_period((period > 0).then_some(period.unsigned_abs()));
    cpu.set_realtime_runtime((runtime > 0).then_some(runtime));
    Ok(())
}

fn cpuset(given: &Resources, judge: &mut Judge<'_>, cpu: &mut LinuxCpu) -> Result<(), Error> {
    let there = judge.host.controls.cpuset.clone();
    if !judge.can(
        !given.cpuset_cpus.is_empty() || !given.cpuset_mems.is_empty(),
        there.is_some(),
        "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
    ) {
        return Ok(());
    }
    let there = there.unwrap_or_default();
    for (text, there, short, long) in [
        (&given.cpuset_cpus, &there.cpus, "cpus", "CPUs"),
        (&given.cpuset_mems, &there.mems, "mems", "memory nodes"),
    ] {
        let Some(wanted) = numbers(text) else {
            return invalid(format!("Invalid value {text} for cpuset {short}"));
        };
        if !wanted.is_subset(&numbers(there).unwrap_or_default()) {
            return invalid(format!(
                "Requested {long} are not available - requested {text}, available: {there}"
            ));
        }
    }
    let some = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
    cpu.set_cpus(some(&given.cpuset_cpus));
    cpu.set_mems(some(&given.cpuset_mems));
    Ok(())
}

/// `0-2,5`.
fn numbers(text: &str) -> Option<BTreeSet<usize>> {
    let mut all = BTreeSet::new();
    if text.is_empty() {
        return Some(all);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |t: &str| {
            let digits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            t.parse::<usize>().ok().filter(|n| digits && *n < MOST)
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        let of = |text| numbers(text).map(|n| n.into_iter().collect::<Vec<_>>());
        assert_eq!(of("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(of(""), Some(vec![]));
        for bad in ["2-0", "a", "-1", "1-", "0,", "+1", "0-99999999"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
