//! One sample: the container's cgroup, its network, the host's clock.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, LazyLock, OnceLock},
};

use runtime::oci::cgroup::{Cgroup, Stats};
use types::stats::{
    BlkioEntry, BlkioStats, ContainerStats, CpuStats, CpuUsage, MemoryStats, NetworkStats,
    PidsStats, ThrottlingData,
};

use crate::{clock, container::Container, pause::find_group};

/// The host's memory in bytes, which is what a container without a limit may use.
static MEMORY: LazyLock<u64> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map_or(u64::MAX, |n| n.saturating_mul(1024))
});

/// Processor time of the whole host.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HostTimes {
    used: u64,
    online: u32,
}

impl HostTimes {
    /// As it is now.
    pub(crate) fn now() -> Self {
        Self::parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(stat: &str) -> Self {
        // In hundredths of a second, on every architecture.
        const TICK: u64 = 10_000_000;
        let mut times = Self::default();
        for line in stat.lines().take_while(|l| l.starts_with("cpu")) {
            if let Some(numbers) = line.strip_prefix("cpu ") {
                // Guests' time is in users' time already.
                let ticks = numbers
                    .split_whitespace()
                    .take(8)
                    .filter_map(|n| n.parse::<u64>().ok());
                times.used = ticks.sum::<u64>().saturating_mul(TICK);
            } else {
                times.online += 1;
            }
        }
        times
    }
}

/// A container that does not run uses nothing.
pub(crate) fn nothing(container: &Container) -> ContainerStats {
    ContainerStats {
        name: format!("/{}", container.name()),
        id: container.id.clone(),
        ..ContainerStats::default()
    }
}

/// Where a container's numbers are.
pub(crate) struct Source {
    pub(super) container: Arc<Container>,
    path: String,
    /// Looked up once: the hierarchies of a host do not change.
    cgroup: OnceLock<Option<Cgroup>>,
}

impl Source {
    /// Of `container`, whose cgroup has `path`.
    pub(crate) fn new(container: &Arc<Container>, path: String) -> Self {
        Self {
            container: Arc::clone(container),
            path,
            cgroup: OnceLock::new(),
        }
    }

    /// What it uses now; blocks for a fraction of a millisecond.
    pub(crate) fn sample(&self, host: HostTimes) -> ContainerStats {
        let state = self.container.state();
        let cgroup = self
            .cgroup
            .get_or_init(|| find_group(&self.path, &self.container.id).ok());
        let (true, Some(cgroup)) = (state.is_running(), cgroup) else {
            return nothing(&self.container);
        };
        let used = cgroup.usage();
        ContainerStats {
            read: clock::now(),
            pids_stats: PidsStats {
                current: some(used.pids.current),
                limit: some(used.pids.limit),
            },
            blkio_stats: blkio(&used),
            cpu_stats: cpu(&used, host),
            memory_stats: MemoryStats {
                usage: used.memory.usage.usage,
                max_usage: used.memory.usage.max,
                failcnt: used.memory.usage.failcnt,
                limit: used.memory.usage.limit.min(*MEMORY),
                stats: used.memory.raw,
            },
            networks: networks(state.pid()),
            ..nothing(&self.container)
        }
    }
}

fn some(n: u64) -> Option<u64> {
    (n > 0).then_some(n)
}

fn cpu(used: &Stats, host: HostTimes) -> CpuStats {
    let (usage, throttling) = (&used.cpu.usage, &used.cpu.throttling);
    CpuStats {
        cpu_usage: CpuUsage {
            total_usage: usage.total,
            percpu_usage: usage.percpu.clone(),
            usage_in_kernelmode: usage.kernel,
            usage_in_usermode: usage.user,
        },
        system_cpu_usage: some(host.used),
        online_cpus: (host.online > 0).then_some(host.online),
        throttling_data: ThrottlingData {
            periods: throttling.periods,
            throttled_periods: throttling.throttled_periods,
            throttled_time: throttling.throttled_time,
        },
    }
}

fn blkio(used: &Stats) -> BlkioStats {
    let entries = |list: &[runtime::oci::cgroup::stats::BlkioEntry]| {
        let entry = |e: &runtime::oci::cgroup::stats::BlkioEntry| BlkioEntry {
            major: e.major,
            minor: e.minor,
            op: e.op.clone(),
            value: e.value,
        };
        Some(list.iter().map(entry).collect())
    };
    BlkioStats {
        io_service_bytes_recursive: entries(&used.blkio.io_service_bytes_recursive),
        io_serviced_recursive: entries(&used.blkio.io_serviced_recursive),
        ..BlkioStats::default()
    }
}

/// The interfaces of the network namespace that process `pid` is in, as its part of `/proc` shows
/// them; none in the host's own.
fn networks(pid: u32) -> Option<BTreeMap<String, NetworkStats>> {
    let proc = Path::new("/proc").join(pid.to_string());
    let namespace = |of: &Path| fs::read_link(of.join("ns/net")).ok();
    let theirs = namespace(&proc)?;
    if namespace(Path::new("/proc/self")) == Some(theirs) {
        return None;
    }
    let found = interfaces(&fs::read_to_string(proc.join("net/dev")).ok()?);
    (!found.is_empty()).then_some(found)
}

/// `eth0: bytes packets errs drop fifo frame compressed multicast bytes packets errs drop …`
fn interfaces(text: &str) -> BTreeMap<String, NetworkStats> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let parsed = lines.filter_map(|(name, numbers)| {
        let n: Vec<u64> = numbers
            .split_whitespace()
            .map_while(|n| n.parse().ok())
            .collect();
        let [rx, tx] = [n.get(..4)?, n.get(8..12)?];
        let stats = NetworkStats {
            rx_bytes: rx[0],
            rx_packets: rx[1],
            rx_errors: rx[2],
            rx_dropped: rx[3],
            tx_bytes: tx[0],
            tx_packets: tx[1],
            tx_errors: tx[2],
            tx_dropped: tx[3],
        };
        Some((name.trim().to_owned(), stats))
    });
    parsed.filter(|(name, _)| name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_time_without_what_is_counted_twice() {
        let times = HostTimes::parse("cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 1\ncpu1 1\nintr 5\n");
        assert_eq!((times.used, times.online), (360_000_000, 2));
        assert_eq!(HostTimes::parse("").online, 0);
    }

    #[test]
    fn interfaces_are_read_but_the_loopback() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
                    \x20 eth0:10 2 3 4 0 0 0 0 50 6 7 8 0 0 0 0\n";
        let found = interfaces(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found["eth0"].rx_bytes, found["eth0"].tx_dropped), (10, 8));
        assert!(interfaces("eth0: 1 2").is_empty());
    }
}
