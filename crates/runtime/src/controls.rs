//! Which limits this kernel can set: a limit that it lacks is discarded with a warning, as Docker
//! does, rather than failing the start in the runtime's words.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Which limits the kernel has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controls {
    /// Bytes of memory.
    pub memory: bool,
    /// Bytes that memory is pressed back to.
    pub memory_reservation: bool,
    /// How willingly it swaps.
    pub swappiness: bool,
    /// Waiting in place of being killed for want of memory.
    pub oom_kill_disable: bool,
    /// Kernel memory for TCP.
    pub kernel_memory_tcp: bool,
    /// Weight of processor time.
    pub cpu_shares: bool,
    /// Quotas of processor time.
    pub cpu_quota: bool,
    /// Quotas of real-time scheduling.
    pub cpu_realtime: bool,
    /// Which processors and memory nodes may be used: the numbers that there are.
    pub cpuset: Option<Cpuset>,
    /// Number of processes.
    pub pids: bool,
    /// Weight of block I/O.
    pub blkio_weight: bool,
    /// Weight of block I/O on one device.
    pub blkio_weight_device: bool,
    /// Bounds of block I/O on one device.
    pub blkio_throttle: bool,
}

/// What a cpuset can be made of, in the kernel's notation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpuset {
    /// Processors: `0-3`.
    pub cpus: String,
    /// Memory nodes: `0`.
    pub mems: String,
}

impl Controls {
    /// Looks.
    pub fn detect(cgroup2: bool) -> Self {
        let hierarchies = sys::cgroup::hierarchies().unwrap_or_default();
        let root = |controller: &str| {
            let has = |h: &&sys::cgroup::Hierarchy| match &h.controllers {
                Some(all) => all.iter().any(|c| c == controller),
                None => cgroup2,
            };
            hierarchies.iter().find(has).map(|h| h.mount.clone())
        };
        if cgroup2 {
            Self::unified(root("").as_deref().unwrap_or(Path::new("/sys/fs/cgroup")))
        } else {
            Self::by_files(root)
        }
    }

    /// Version 1: the root of each hierarchy has nearly all files.
    fn by_files(root: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let has =
            |controller: &str, file: &str| root(controller).is_some_and(|r| r.join(file).exists());
        let read = |file: &str| {
            let text = fs::read_to_string(root("cpuset")?.join(file)).ok()?;
            Some(text.trim().to_owned())
        };
        Self {
            memory: has("memory", "memory.limit_in_bytes"),
            memory_reservation: has("memory", "memory.soft_limit_in_bytes"),
            swappiness: has("memory", "memory.swappiness"),
            oom_kill_disable: has("memory", "memory.oom_control"),
            kernel_memory_tcp: has("memory", "memory.kmem.tcp.limit_in_bytes"),
            cpu_shares: has("cpu", "cpu.shares"),
            cpu_quota: has("cpu", "cpu.cfs_quota_us"),
            cpu_realtime: has("cpu", "cpu.rt_runtime_us"),
            cpuset: read("cpuset.cpus")
                .zip(read("cpuset.mems"))
                .map(|(cpus, mems)| Cpuset { cpus, mems }),
            // Its root has no limit.
            pids: root("pids").is_some(),
            blkio_weight: has("blkio", "blkio.weight"),
            blkio_weight_device: has("blkio", "blkio.weight_device"),
            blkio_throttle: has("blkio", "blkio.throttle.read_bps_device"),
        }
    }

    /// Version 2: the root tells the controllers, its children have the files.
    fn unified(root: &Path) -> Self {
        let list = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let has = |name: &str| list.split_whitespace().any(|c| c == name);
        let child_has = |file: &str| {
            fs::read_dir(root).is_ok_and(|mut entries| {
                entries.any(|e| e.is_ok_and(|e| e.path().join(file).exists()))
            })
        };
        let read = |file: &str| {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            text.trim().to_owned()
        };
        Self {
            memory: has("memory"),
            memory_reservation: has("memory"),
            swappiness: false,
            oom_kill_disable: false,
            kernel_memory_tcp: false,
            cpu_shares: has("cpu"),
            cpu_quota: has("cpu"),
            cpu_realtime: false,
            cpuset: has("cpuset").then(|| Cpuset {
                cpus: read("cpuset.cpus.effective"),
                mems: read("cpuset.mems.effective"),
            }),
            pids: has("pids"),
            blkio_weight: child_has("io.bfq.weight") || child_has("io.weight"),
            blkio_weight_device: child_has("io.bfq.weight") || child_has("io.weight"),
            blkio_throttle: has("io"),
        }
    }
}

/// Everything there is, on two processors: for tests of what is made of it.
impl Default for Controls {
    fn default() -> Self {
        Self {
            memory: true,
            memory_reservation: true,
            swappiness: true,
            oom_kill_disable: true,
            kernel_memory_tcp: true,
            cpu_shares: true,
            cpu_quota: true,
            cpu_realtime: true,
            cpuset: Some(Cpuset {
                cpus: "0-1".to_owned(),
                mems: "0".to_owned(),
            }),
            pids: true,
            blkio_weight: true,
            blkio_weight_device: true,
            blkio_throttle: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_files_of_each_hierarchy() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cpu.shares"), "").unwrap();
        let found = Controls::by_files(|name| (name == "cpu").then(|| dir.path().to_owned()));
        assert!(found.cpu_shares && !found.cpu_realtime && !found.memory && !found.pids);
        assert_eq!(found.cpuset, None);
    }

    #[test]
    fn by_the_unified_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "cpuset memory io\n").unwrap();
        fs::write(dir.path().join("cpuset.cpus.effective"), "0-3\n").unwrap();
        let found = Controls::unified(dir.path());
        assert!(found.memory && found.blkio_throttle && !found.pids && !found.swappiness);
        assert_eq!(found.cpuset.unwrap().cpus, "0-3");
    }
}
