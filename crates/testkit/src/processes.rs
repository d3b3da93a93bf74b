//! What `/proc` tells about processes.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Every process id of the machine.
pub(crate) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect()
}

/// The parent of a process, if both exist.
pub fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// The processes whose parent is `pid`.
pub fn children_of(pid: u32) -> Vec<u32> {
    all()
        .into_iter()
        .filter(|p| parent_of(*p) == Some(pid))
        .collect()
}

/// True while the process exists and is more than a zombie.
pub fn alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Its command line, or its name where it has none.
pub(crate) fn name(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{pid} {} {}", comm.trim(), line.trim())
}

/// The cgroup paths of a process, one line for each hierarchy, as the kernel writes them.
pub fn cgroups_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

/// Sends a signal; a process that is gone is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends a process in the instant; one that is gone is no error.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Proportional set size in KiB.
pub fn pss_of(pid: u32) -> u64 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// Resident set size in KiB.
pub fn rss_of(pid: u32) -> u64 {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

fn field(file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(key));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// A value of the cgroup that a process is in: `v1` is the file in `controller`'s hierarchy, `v2`
/// the file in the unified one.
pub fn cgroup_value(pid: u32, controller: &str, v1: &str, v2: &str) -> String {
    let groups = cgroups_of(pid);
    let path = |wanted: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            wanted(controllers).then(|| path.to_owned())
        })
    };
    let file = match path(&|c| c.split(',').any(|c| c == controller)) {
        Some(path) => format!("/sys/fs/cgroup/{controller}{path}/{v1}"),
        None => {
            let path = path(&str::is_empty).expect("a process is in a cgroup");
            format!("/sys/fs/cgroup{path}/{v2}")
        }
    };
    let value = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
    value.trim().to_owned()
}
