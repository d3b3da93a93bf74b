//! The part of a container's definition that belongs to one host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// Run an init that forwards signals and reaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Every other member, as sent.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
