//! The part of a container's definition that belongs to one host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    MountSpec,
    resources::{DeviceMapping, DeviceRequest, ThrottleDevice, WeightDevice},
};

/// Paths that are hidden from a container, unless it is privileged.
pub const MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths that a container can only read, unless it is privileged.
pub const READONLY_PATHS: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// A limit of the kernel for a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// `nofile`, `core`, …
    pub name: String,
    /// Upper bound of `soft`; -1 for none.
    pub hard: i64,
    /// What is in force; -1 for none.
    pub soft: i64,
}

/// Where a container's output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// `json-file`, `none`, …; the daemon's default when empty.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Options of the driver.
    pub config: BTreeMap<String, String>,
}

/// What to do when a container ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// Empty or `no`, `always`, `unless-stopped`, `on-failure`.
    pub name: String,
    /// Most restarts for `on-failure`; 0 for no bound.
    pub maximum_retry_count: i64,
}

/// One end of a published port on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// Address of the host; every one when empty.
    pub host_ip: String,
    /// Port or range of the host; any free one when empty.
    pub host_port: String,
}

/// Ports of a container (`80/tcp`) and where they are published.
pub type PortMap = BTreeMap<String, Vec<PortBinding>>;

/// The part of a container's definition that belongs to one host. Members that are not fields
/// here are in `other`: known ones are refused by the engine when set, unknown ones ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// `source:target[:options]`.
    pub binds: Vec<String>,
    /// File into which the client wrote the identifier.
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    /// Where output goes.
    pub log_config: LogConfig,
    /// `default`, `bridge`, `host`, `none`, `container:<id>`.
    pub network_mode: String,
    /// Published ports.
    pub port_bindings: PortMap,
    /// What to do when it ends.
    pub restart_policy: RestartPolicy,
    /// Remove it when it ends.
    pub auto_remove: bool,
    /// The client's terminal at creation, `[rows, columns]`.
    pub console_size: [u16; 2],
    /// Driver of new volumes; `local` when empty.
    pub volume_driver: String,
    /// Containers whose mounts it gets, too: `name[:ro|rw]`.
    pub volumes_from: Option<Vec<String>>,
    /// Mounts in their full form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountSpec>,
    /// Name servers; the daemon's or the host's when empty.
    pub dns: Vec<String>,
    /// Options of the resolver.
    pub dns_options: Vec<String>,
    /// Domains in which names are looked for.
    pub dns_search: Vec<String>,
    /// Lines of its hosts file, `name:address`.
    pub extra_hosts: Option<Vec<String>>,
    /// Other containers that it knows by name: `name[:alias]`.
    pub links: Option<Vec<String>>,
    /// Capabilities added to the default set.
    pub cap_add: Vec<String>,
    /// Capabilities taken from the default set.
    pub cap_drop: Vec<String>,
    /// Further groups of the first process.
    pub group_add: Vec<String>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// Publish every exposed port on a port of the host's choice.
    pub publish_all_ports: bool,
    /// Its root file system cannot be written.
    pub readonly_rootfs: bool,
    /// `no-new-privileges`, `seccomp=unconfined`.
    pub security_opt: Vec<String>,
    /// Mounts in memory: target and options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// Bytes of `/dev/shm`; 64 MiB when 0.
    pub shm_size: i64,
    /// OCI runtime; the daemon's when empty.
    pub runtime: String,
    /// Parent of its cgroup; the daemon's when empty.
    pub cgroup_parent: String,
    /// `host` or `private`; by the host's cgroup version when empty.
    pub cgroupns_mode: String,
    /// Bytes of memory; no bound when 0.
    pub memory: i64,
    /// Bytes of memory and swap together; twice the memory when 0, no bound when -1.
    pub memory_swap: i64,
    /// Billionths of a processor; no bound when 0.
    pub nano_cpus: i64,
    /// Most processes; no bound when absent, 0 or negative.
    pub pids_limit: Option<i64>,
    /// Limits of the kernel for its processes.
    pub ulimits: Vec<Ulimit>,
    /// `private`, `shareable`, `none`, `host`, `container:<id>`.
    pub ipc_mode: String,
    /// `host`, `container:<id>`; its own when empty.
    pub pid_mode: String,
    /// `host`; its own when empty.
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    /// `host`; the daemon's remapping when empty.
    pub userns_mode: String,
    /// How willingly the kernel kills it: -1000 to 1000.
    pub oom_score_adj: i64,
    /// Relative weight of processor time; the kernel's default when 0.
    pub cpu_shares: i64,
    /// Microseconds that a quota is for.
    pub cpu_period: i64,
    /// Microseconds of processor time in a period.
    pub cpu_quota: i64,
    /// Microseconds that a real-time quota is for.
    pub cpu_realtime_period: i64,
    /// Microseconds of real-time scheduling in a period.
    pub cpu_realtime_runtime: i64,
    /// Processors: `0-2,5`.
    pub cpuset_cpus: String,
    /// Memory nodes: `0-1`.
    pub cpuset_mems: String,
    /// Bytes it is pressed back to when memory is short.
    pub memory_reservation: i64,
    /// 0 to 100; the kernel's default when absent or -1.
    pub memory_swappiness: Option<i64>,
    /// Wait instead of dying without memory.
    pub oom_kill_disable: bool,
    /// Weight of block I/O, 10 to 1000; the kernel's default when 0.
    pub blkio_weight: u16,
    /// The same for single devices.
    pub blkio_weight_device: Vec<WeightDevice>,
    /// Bytes read a second.
    pub blkio_device_read_bps: Vec<ThrottleDevice>,
    /// Bytes written a second.
    pub blkio_device_write_bps: Vec<ThrottleDevice>,
    /// Reads a second.
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Vec<ThrottleDevice>,
    /// Writes a second.
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Vec<ThrottleDevice>,
    /// Devices of the host.
    pub devices: Vec<DeviceMapping>,
    /// Rules of the device cgroup: `c 1:3 rwm`.
    pub device_cgroup_rules: Option<Vec<String>>,
    /// Devices that a driver finds.
    pub device_requests: Option<Vec<DeviceRequest>>,
    /// Options of the storage driver: `size`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_opt: BTreeMap<String, String>,
    /// Kernel settings of its namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// For the OCI runtime and its tools.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Hidden paths; Docker's when absent.
    pub masked_paths: Option<Vec<String>>,
    /// Paths that cannot be written; Docker's when absent.
    pub readonly_paths: Option<Vec<String>>,
    /// Bytes of kernel memory: gone from kernels and from API 1.42.
    #[serde(skip_serializing_if = "is_zero")]
    pub kernel_memory: i64,
    /// Bytes of kernel memory for TCP. Version 1 of cgroups only.
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "is_zero")]
    pub kernel_memory_tcp: i64,
    /// Run an init that forwards signals and reaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Every other member, as sent.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}
