//! Where the numbers are. A file that a kernel does not have is a zero, as with runc: statistics
//! are not a limit.

use std::{fs, path::Path};

use super::{
    super::limits::{
        knob::{Controllers, number},
        list,
    },
    Blkio, BlkioEntry, HugePages, MemoryEntry, Stats,
};

/// One cgroup's directory of one controller.
struct Dir<'a>(&'a Path);

impl Dir<'_> {
    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap_or_default()
    }

    /// A file's number; `max` is the greatest there is.
    fn number(&self, file: &str) -> u64 {
        let text = self.text(file);
        match number(&text) {
            Some(n) => n,
            None if text.trim() == "max" => u64::MAX,
            None => 0,
        }
    }

    /// The numbers of a line `key number` each.
    fn pairs(&self, file: &str) -> Vec<(String, u64)> {
        pairs(&self.text(file))
    }
}

fn pairs(text: &str) -> Vec<(String, u64)> {
    text.lines()
        .filter_map(|l| l.split_once(' '))
        .filter_map(|(k, v)| Some((k.to_owned(), v.trim().parse().ok()?)))
        .collect()
}

fn of(pairs: &[(String, u64)], key: &str) -> u64 {
    pairs.iter().find(|(k, _)| k == key).map_or(0, |(_, v)| *v)
}

pub(in super::super) fn read(have: &Controllers<'_>) -> Stats {
    let mut stats = Stats::default();
    processor(have, cpuacct_v1, &mut stats);
    if let Some((v2, dir)) = have.find("cpuset", "cpuset") {
        cpuset(&Dir(dir), v2, &mut stats);
    }
    if let Some((v2, dir)) = have.find("memory", "memory") {
        let dir = Dir(dir);
        if v2 {
            memory_v2(&dir, &mut stats);
        } else {
            memory_v1(&dir, &mut stats);
        }
    }
    processes(have, &mut stats);
    block(have, &mut stats);
    if let Some((v2, dir)) = have.find("hugetlb", "hugetlb") {
        huge_pages(&Dir(dir), v2, &mut stats);
    }
    stats
}

/// What is asked for every second of many containers at once: no limits of processors, no kernel
/// memory, no huge pages. A third of the files, and of the time.
pub(in super::super) fn read_usage(have: &Controllers<'_>) -> Stats {
    let mut stats = Stats::default();
    processor(have, cpuacct_v1_total, &mut stats);
    if let Some((v2, dir)) = have.find("memory", "memory") {
        let (dir, memory) = (Dir(dir), &mut stats.memory);
        memory.usage = if v2 {
            MemoryEntry {
                limit: dir.number("memory.max"),
                usage: dir.number("memory.current"),
                ..MemoryEntry::default()
            }
        } else {
            entry_v1(&dir, "")
        };
        memory.raw = dir.pairs("memory.stat").into_iter().collect();
    }
    processes(have, &mut stats);
    block(have, &mut stats);
    stats
}

/// Processor time; `v1` reads it where there is a controller of its own for that.
fn processor(have: &Controllers<'_>, v1: fn(&Dir<'_>, &mut Stats), stats: &mut Stats) {
    match have.find("cpuacct", "") {
        Some((true, dir)) => cpu_v2(&Dir(dir), stats),
        Some((false, dir)) => v1(&Dir(dir), stats),
        None => {}
    }
    throttling_v1(have, stats);
}

fn throttling_v1(have: &Controllers<'_>, stats: &mut Stats) {
    if let Some((false, dir)) = have.find("cpu", "cpu") {
        let stat = Dir(dir).pairs("cpu.stat");
        stats.cpu.throttling.periods = of(&stat, "nr_periods");
        stats.cpu.throttling.throttled_periods = of(&stat, "nr_throttled");
        stats.cpu.throttling.throttled_time = of(&stat, "throttled_time");
    }
}

fn processes(have: &Controllers<'_>, stats: &mut Stats) {
    if let Some((_, dir)) = have.find("pids", "pids") {
        let dir = Dir(dir);
        stats.pids.current = dir.number("pids.current");
        stats.pids.limit = match dir.number("pids.max") {
            u64::MAX => 0,
            n => n,
        };
    }
}

fn block(have: &Controllers<'_>, stats: &mut Stats) {
    match have.find("blkio", "io") {
        Some((true, dir)) => stats.blkio = io_v2(&Dir(dir).text("io.stat")),
        Some((false, dir)) => blkio_v1(&Dir(dir), stats),
        None => {}
    }
}

fn cpu_v2(dir: &Dir<'_>, stats: &mut Stats) {
    let stat = dir.pairs("cpu.stat");
    // In microseconds.
    let ns = |key: &str| of(&stat, key).saturating_mul(1000);
    let usage = &mut stats.cpu.usage;
    usage.total = ns("usage_usec");
    usage.user = ns("user_usec");
    usage.kernel = ns("system_usec");
    stats.cpu.throttling.periods = of(&stat, "nr_periods");
    stats.cpu.throttling.throttled_periods = of(&stat, "nr_throttled");
    stats.cpu.throttling.throttled_time = ns("throttled_usec");
}

fn cpuacct_v1_total(dir: &Dir<'_>, stats: &mut Stats) {
    // In hundredths of a second, on every architecture: USER_HZ.
    const TICK: u64 = 10_000_000;
    let usage = &mut stats.cpu.usage;
    usage.total = dir.number("cpuacct.usage");
    let stat = dir.pairs("cpuacct.stat");
    usage.user = of(&stat, "user").saturating_mul(TICK);
    usage.kernel = of(&stat, "system").saturating_mul(TICK);
    let numbers = dir.text("cpuacct.usage_percpu");
    usage.percpu = numbers
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
}

fn cpuacct_v1(dir: &Dir<'_>, stats: &mut Stats) {
    cpuacct_v1_total(dir, stats);
    let usage = &mut stats.cpu.usage;
    // `cpu user system`, with a heading.
    for line in dir.text("cpuacct.usage_all").lines().skip(1) {
        let mut n = line
            .split_whitespace()
            .skip(1)
            .map(|n| n.parse().unwrap_or(0));
        usage.percpu_user.push(n.next().unwrap_or(0));
        usage.percpu_kernel.push(n.next().unwrap_or(0));
    }
}

fn cpuset(dir: &Dir<'_>, v2: bool, stats: &mut Stats) {
    let (cpus, mems) = if v2 {
        ("cpuset.cpus.effective", "cpuset.mems.effective")
    } else {
        ("cpuset.cpus", "cpuset.mems")
    };
    let set = &mut stats.cpuset;
    set.cpus = list(&dir.text(cpus)).unwrap_or_default();
    set.mems = list(&dir.text(mems)).unwrap_or_default();
    if v2 {
        return;
    }
    set.cpu_exclusive = dir.number("cpuset.cpu_exclusive");
    set.mem_hardwall = dir.number("cpuset.mem_hardwall");
    set.mem_exclusive = dir.number("cpuset.mem_exclusive");
    set.memory_migrate = dir.number("cpuset.memory_migrate");
    set.memory_spread_page = dir.number("cpuset.memory_spread_page");
    set.memory_spread_slab = dir.number("cpuset.memory_spread_slab");
    set.memory_pressure = dir.number("cpuset.memory_pressure");
    set.sched_load_balance = dir.number("cpuset.sched_load_balance");
    let level = dir.text("cpuset.sched_relax_domain_level");
    set.sched_relax_domain_level = level.trim().parse().unwrap_or(0);
}

fn entry_v1(dir: &Dir<'_>, name: &str) -> MemoryEntry {
    MemoryEntry {
        limit: dir.number(&format!("memory.{name}limit_in_bytes")),
        usage: dir.number(&format!("memory.{name}usage_in_bytes")),
        max: dir.number(&format!("memory.{name}max_usage_in_bytes")),
        failcnt: dir.number(&format!("memory.{name}failcnt")),
    }
}

fn memory_v1(dir: &Dir<'_>, stats: &mut Stats) {
    let entry = |name: &str| entry_v1(dir, name);
    let memory = &mut stats.memory;
    memory.usage = entry("");
    memory.swap = entry("memsw.");
    memory.kernel = entry("kmem.");
    memory.kernel_tcp = entry("kmem.tcp.");
    memory.raw = dir.pairs("memory.stat").into_iter().collect();
    memory.cache = memory.raw.get("cache").copied().unwrap_or(0);
}

fn memory_v2(dir: &Dir<'_>, stats: &mut Stats) {
    let events = dir.pairs("memory.events");
    let memory = &mut stats.memory;
    memory.usage = MemoryEntry {
        limit: dir.number("memory.max"),
        usage: dir.number("memory.current"),
        max: dir.number("memory.peak"),
        failcnt: of(&events, "max"),
    };
    // As version 1 has it: memory and swap together.
    memory.swap = MemoryEntry {
        limit: dir
            .number("memory.swap.max")
            .saturating_add(memory.usage.limit),
        usage: dir
            .number("memory.swap.current")
            .saturating_add(memory.usage.usage),
        max: 0,
        failcnt: of(&dir.pairs("memory.swap.events"), "fail"),
    };
    memory.raw = dir.pairs("memory.stat").into_iter().collect();
    memory.cache = memory.raw.get("file").copied().unwrap_or(0);
}

/// `8:0 Read 4096`, and a sum at the end.
fn entries_v1(text: &str) -> Vec<BlkioEntry> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (major, minor) = words.next()?.split_once(':')?;
            Some(BlkioEntry {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
                op: words.next()?.to_owned(),
                value: words.next()?.parse().ok()?,
            })
        })
        .collect()
}

fn blkio_v1(dir: &Dir<'_>, stats: &mut Stats) {
    // bfq counts what goes through it; throttling counts everything.
    let either = |bfq: &str, all: &str| {
        let found = entries_v1(&dir.text(bfq));
        if found.is_empty() {
            entries_v1(&dir.text(all))
        } else {
            found
        }
    };
    stats.blkio.io_service_bytes_recursive = either(
        "blkio.bfq.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes_recursive",
    );
    stats.blkio.io_serviced_recursive = either(
        "blkio.bfq.io_serviced_recursive",
        "blkio.throttle.io_serviced_recursive",
    );
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`
fn io_v2(text: &str) -> Blkio {
    let mut blkio = Blkio::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|d| d.split_once(':')) else {
            continue;
        };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else {
            continue;
        };
        for (key, value) in words.filter_map(|w| w.split_once('=')) {
            let (bytes, op) = match key {
                "rbytes" => (true, "Read"),
                "wbytes" => (true, "Write"),
                "dbytes" => (true, "Discard"),
                "rios" => (false, "Read"),
                "wios" => (false, "Write"),
                "dios" => (false, "Discard"),
                _ => continue,
            };
            let entry = BlkioEntry {
                major,
                minor,
                op: op.to_owned(),
                value: value.parse().unwrap_or(0),
            };
            if bytes {
                blkio.io_service_bytes_recursive.push(entry);
            } else {
                blkio.io_serviced_recursive.push(entry);
            }
        }
    }
    blkio
}

fn huge_pages(dir: &Dir<'_>, v2: bool, stats: &mut Stats) {
    let Ok(files) = fs::read_dir(dir.0) else {
        return;
    };
    let end = if v2 { ".current" } else { ".usage_in_bytes" };
    for file in files.flatten() {
        let name = file.file_name();
        let Some(size) = name
            .to_str()
            .and_then(|n| n.strip_prefix("hugetlb.")?.strip_suffix(end))
            .filter(|size| !size.contains('.'))
        else {
            continue;
        };
        let of = |end: &str| dir.number(&format!("hugetlb.{size}.{end}"));
        let pages = if v2 {
            HugePages {
                usage: of("current"),
                max: 0,
                failcnt: self::of(&dir.pairs(&format!("hugetlb.{size}.events")), "max"),
            }
        } else {
            HugePages {
                usage: of("usage_in_bytes"),
                max: of("max_usage_in_bytes"),
                failcnt: of("failcnt"),
            }
        };
        stats.hugetlb.insert(size.to_owned(), pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_of_both_versions() {
        let v2 = io_v2("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\nrubbish\n");
        let json = serde_json::to_value(&v2).unwrap();
        assert_eq!(json["ioServiceBytesRecursive"][1]["value"], 2);
        assert_eq!(json["ioServicedRecursive"][0]["op"], "Read");
        let v1 = entries_v1("8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n");
        assert_eq!(v1.len(), 2);
        assert_eq!((v1[0].major, v1[0].value), (8, 4096));
    }
}
