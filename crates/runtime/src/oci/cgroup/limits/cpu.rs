//! `linux.resources.cpu`: time, and on which processors.

use oci_spec::runtime::LinuxCpu;
use rustix::io::Errno;

use super::super::super::error::{Error, Result};
use super::{
    convert,
    knob::{Controller, Controllers},
};

const SHARES: &str = "linux.resources.cpu.shares";
const QUOTA: &str = "linux.resources.cpu.quota";
const PERIOD: &str = "linux.resources.cpu.period";
const BURST: &str = "linux.resources.cpu.burst";
const IDLE: &str = "linux.resources.cpu.idle";
const RT_RUNTIME: &str = "linux.resources.cpu.realtimeRuntime";
const RT_PERIOD: &str = "linux.resources.cpu.realtimePeriod";

pub(super) fn apply(have: &Controllers<'_>, c: &LinuxCpu) -> Result<()> {
    let asked = [
        (SHARES, c.shares().is_some_and(|n| n != 0)),
        (QUOTA, c.quota().is_some_and(|n| n != 0)),
        (PERIOD, c.period().is_some_and(|n| n != 0)),
        (BURST, c.burst().is_some()),
        (IDLE, c.idle().is_some()),
        (RT_RUNTIME, c.realtime_runtime().is_some_and(|n| n != 0)),
        (RT_PERIOD, c.realtime_period().is_some_and(|n| n != 0)),
    ];
    if let Some((name, _)) = asked.iter().find(|(_, asked)| *asked) {
        let cpu = have.need("cpu", "cpu", name)?;
        if cpu.v2 {
            v2(&cpu, c)?;
        } else {
            v1(&cpu, c)?;
        }
    }
    for (name, file, value) in [
        ("linux.resources.cpu.cpus", "cpuset.cpus", c.cpus()),
        ("linux.resources.cpu.mems", "cpuset.mems", c.mems()),
    ] {
        let Some(value) = value.as_deref().filter(|v| !v.is_empty()) else {
            continue;
        };
        let cpuset = have.need("cpuset", "cpuset", name)?;
        let wanted = convert::list(value)
            .ok_or_else(|| Error::config(name, format!("{value:?} is no list like 0-3,7")))?;
        cpuset.set(name, file, value, |found| {
            convert::list(found).is_some_and(|found| found == wanted)
        })?;
    }
    Ok(())
}

fn idle(cpu: &Controller, c: &LinuxCpu) -> Result<()> {
    match c.idle() {
        Some(n) => cpu.exact(IDLE, "cpu.idle", &n.to_string()),
        None => Ok(()),
    }
}

fn v1(cpu: &Controller, c: &LinuxCpu) -> Result<()> {
    if let Some(n) = c.shares().filter(|n| *n != 0) {
        // Two is the kernel's least, and one is what people write for it… and are told.
        cpu.exact(SHARES, "cpu.shares", &n.to_string())?;
    }
    let period = c.period().filter(|n| *n != 0);
    let quota = c.quota().filter(|n| *n != 0);
    let set_period = || match period {
        Some(n) => cpu.exact(PERIOD, "cpu.cfs_period_us", &n.to_string()),
        None => Ok(()),
    };
    let set_quota = || match quota {
        Some(n) => cpu.exact(QUOTA, "cpu.cfs_quota_us", &n.max(-1).to_string()),
        None => Ok(()),
    };
    // Together they must fit into the parent's at every moment: if one order does not, the other
    // does.
    match set_period() {
        Err(e) if e.errno() == Some(Errno::INVAL.raw_os_error()) && quota.is_some() => {
            set_quota()?;
            set_period()?;
        }
        other => {
            other?;
            set_quota()?;
        }
    }
    if let Some(n) = c.burst() {
        cpu.exact(BURST, "cpu.cfs_burst_us", &n.to_string())?;
    }
    let rt_period = c.realtime_period().filter(|n| *n != 0);
    let rt_runtime = c.realtime_runtime().filter(|n| *n != 0);
    if let Some(n) = rt_period {
        cpu.exact(RT_PERIOD, "cpu.rt_period_us", &n.to_string())?;
    }
    if let Some(n) = rt_runtime {
        cpu.exact(RT_RUNTIME, "cpu.rt_runtime_us", &n.to_string())?;
    }
    idle(cpu, c)
}

fn v2(cpu: &Controller, c: &LinuxCpu) -> Result<()> {
    for (name, asked) in [
        (RT_RUNTIME, c.realtime_runtime().is_some_and(|n| n != 0)),
        (RT_PERIOD, c.realtime_period().is_some_and(|n| n != 0)),
    ] {
        if asked {
            return Err(Error::Unsupported(format!(
                "{name}: version 2 of cgroups, which this host has, gives out no real-time"
            )));
        }
    }
    idle(cpu, c)?;
    // What is idle has no weight: the kernel refuses one.
    if let Some(n) = c.shares().filter(|n| *n != 0 && c.idle() != Some(1)) {
        let weight = convert::weight_of_shares(n).to_string();
        cpu.exact(SHARES, "cpu.weight", &weight)?;
    }
    let period = c.period().filter(|n| *n != 0);
    let quota = c.quota().filter(|n| *n != 0);
    // The burst may not be more than the quota: what shrinks goes first.
    let burst = c.burst().map(|n| n.to_string());
    let early = burst
        .as_deref()
        .is_none_or(|n| cpu.exact(BURST, "cpu.max.burst", n).is_ok());
    if period.is_some() || quota.is_some() {
        // One file has both: what is not asked for stays.
        let now = cpu.read("cpu.max")?;
        let mut now = now.split_whitespace();
        let (q, p) = (now.next().unwrap_or("max"), now.next().unwrap_or("100000"));
        let quota = quota.map_or(q.to_owned(), |n| {
            if n < 0 {
                "max".to_owned()
            } else {
                n.to_string()
            }
        });
        let period = period.map_or(p.to_owned(), |n| n.to_string());
        let name = if c.quota().is_some() { QUOTA } else { PERIOD };
        cpu.exact(name, "cpu.max", &format!("{quota} {period}"))?;
    }
    match burst {
        Some(n) if !early => cpu.exact(BURST, "cpu.max.burst", &n),
        _ => Ok(()),
    }
}
