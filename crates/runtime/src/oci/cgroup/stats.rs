//! What a container uses, in the words of `runc events --stats`.

mod read;

use std::collections::BTreeMap;

use serde::Serialize;

pub(super) use read::{read, read_usage};

#[expect(clippy::trivially_copy_pass_by_ref)] // serde's way
fn zero(n: &u64) -> bool {
    *n == 0
}

/// All of it. A controller that the host does not have leaves zeros.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stats {
    /// Time.
    pub cpu: Cpu,
    /// Processors and memory nodes.
    pub cpuset: CpuSet,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block devices.
    pub blkio: Blkio,
    /// Huge pages by their size.
    pub hugetlb: BTreeMap<String, HugePages>,
    /// Not offered.
    pub intel_rdt: Empty,
    /// The network belongs to the engine.
    pub network_interfaces: Option<Vec<Empty>>,
}

/// An object with nothing in it.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Empty {}

/// Time of processors, in nanoseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cpu {
    /// What was used.
    pub usage: CpuUsage,
    /// What a quota held back.
    pub throttling: Throttling,
}

/// Time that was used, in nanoseconds.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct CpuUsage {
    #[serde(skip_serializing_if = "zero")]
    pub total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    pub kernel: u64,
    pub user: u64,
}

/// What a quota held back.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // the names say it
pub struct Throttling {
    #[serde(skip_serializing_if = "zero")]
    pub periods: u64,
    #[serde(skip_serializing_if = "zero")]
    pub throttled_periods: u64,
    #[serde(skip_serializing_if = "zero")]
    pub throttled_time: u64,
}

/// Where it may run, with the switches of version 1.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)] // the kernel's names
pub struct CpuSet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u32>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Memory {
    /// Of files.
    #[serde(skip_serializing_if = "zero")]
    pub cache: u64,
    /// All of it.
    pub usage: MemoryEntry,
    /// With swap.
    pub swap: MemoryEntry,
    /// The kernel's.
    pub kernel: MemoryEntry,
    /// The kernel's for TCP.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat` as it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
}

/// One kind of memory.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct MemoryEntry {
    pub limit: u64,
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    #[serde(skip_serializing_if = "zero")]
    pub max: u64,
    pub failcnt: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Pids {
    /// How many there are.
    #[serde(skip_serializing_if = "zero")]
    pub current: u64,
    /// How many there may be; 0 is no limit.
    #[serde(skip_serializing_if = "zero")]
    pub limit: u64,
}

/// Block devices.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blkio {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
}

/// One device and one kind of operation.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct BlkioEntry {
    #[serde(skip_serializing_if = "zero")]
    pub major: u64,
    #[serde(skip_serializing_if = "zero")]
    pub minor: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    #[serde(skip_serializing_if = "zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)] // the names say it
pub struct HugePages {
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    #[serde(skip_serializing_if = "zero")]
    pub max: u64,
    pub failcnt: u64,
}
