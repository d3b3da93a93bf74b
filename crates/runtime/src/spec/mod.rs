//! From what a container shall be to the OCI runtime's `config.json`, with Docker's defaults.
//!
//! Everything comes in as plain values ([`ContainerSpec`]); nothing here knows images, volumes or
//! the API. What the host cannot give is left out, or brought within its bounds, and a warning
//! says so; what makes no sense is an error in the user's words.

mod build;
mod devices;
mod edits;
mod mounts;
mod process;
mod resources;
mod sysctls;

use std::collections::BTreeMap;

pub use build::{Built, build};
pub use edits::{EditDevice, EditHook, EditMount, Edits};
pub use process::{ExecSpec, exec_process};
pub use resources::limits;

use crate::protocol::Size;

/// Where `--init`'s program appears in the container.
pub const INIT_PATH: &str = "/sbin/docker-init";

/// What a container shall be.
#[derive(Debug, Clone, Default)]
pub struct ContainerSpec {
    /// Program and arguments; not empty.
    pub args: Vec<String>,
    /// The whole environment, `NAME=value`.
    pub env: Vec<String>,
    /// Working directory, absolute.
    pub cwd: String,
    /// As whom it runs; see [`crate::user::resolve`].
    pub user: User,
    /// Host name, unless the host's UTS namespace is used.
    pub hostname: String,
    /// NIS domain name.
    pub domainname: String,
    /// With a terminal?
    pub tty: bool,
    /// The terminal's first size.
    pub size: Option<Size>,
    /// Is the root file system read-only?
    pub readonly_rootfs: bool,
    /// Bind mounts: volumes, and files like `/etc/hosts`.
    pub mounts: Vec<BindMount>,
    /// Temporary file systems.
    pub tmpfs: Vec<Tmpfs>,
    /// Capabilities to add, as users write them.
    pub cap_add: Vec<String>,
    /// Capabilities to drop, as users write them.
    pub cap_drop: Vec<String>,
    /// All capabilities, all devices, nothing masked.
    pub privileged: bool,
    /// The filter of system calls.
    pub seccomp: Seccomp,
    /// AppArmor's profile, which must be loaded.
    pub apparmor_profile: Option<String>,
    /// Hidden paths; Docker's if none are given.
    pub masked_paths: Option<Vec<String>>,
    /// Read-only paths; Docker's if none are given.
    pub readonly_paths: Option<Vec<String>>,
    /// May no program gain privileges?
    pub no_new_privileges: bool,
    /// Limits of processes.
    pub rlimits: Vec<Rlimit>,
    /// How willingly the kernel kills it: -1000 to 1000.
    pub oom_score_adj: i32,
    /// Limits of the whole container.
    pub resources: Resources,
    /// Absolute path of its cgroup.
    pub cgroup: String,
    /// Its own view of cgroups, or the host's?
    pub host_cgroupns: bool,
    /// Kernel settings.
    pub sysctls: BTreeMap<String, String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Rules of the device cgroup, `c 1:3 rwm`.
    pub device_cgroup_rules: Vec<String>,
    /// Processes.
    pub pid: Namespace,
    /// System V and POSIX queues and memory.
    pub ipc: Namespace,
    /// The network; usually the path of one that was made.
    pub network: Namespace,
    /// The network is another container's: its settings are left to that one.
    pub shares_network: bool,
    /// Host and domain name.
    pub uts: Namespace,
    /// `/dev/shm`.
    pub shm: Shm,
    /// Users of its own; the host's if none.
    pub user_namespace: Option<UserNamespace>,
    /// May it write to its cgroup? As the other options say if not given.
    pub writable_cgroups: Option<bool>,
    /// What device specifications ask for.
    pub cdi: Edits,
    /// For people and tools.
    pub annotations: BTreeMap<String, String>,
    /// The init program on the host, for `--init`: mounted at [`INIT_PATH`] and put before `args`.
    pub init: Option<String>,
}

/// As whom a process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups; the first one too, if it shall count there.
    pub additional_gids: Vec<u32>,
}

/// Something of the host's, mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMount {
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub destination: String,
    /// May the container not write?
    pub readonly: bool,
    /// Nor what is mounted below?
    pub readonly_below: bool,
    /// What is mounted below, too?
    pub recursive: bool,
    /// `rprivate`, `rslave` …
    pub propagation: String,
}

/// A temporary file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Path in the container.
    pub destination: String,
    /// `size=64m,mode=1777,exec` …
    pub options: String,
}

/// The filter of system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    /// Docker's default profile; none if privileged.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// A profile in Docker's form, JSON.
    Profile(String),
}

/// A limit of each process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rlimit {
    /// Docker's name: `nofile`.
    pub name: String,
    /// What processes get; -1 is unlimited.
    pub soft: i64,
    /// How far they may raise it; -1 is unlimited.
    pub hard: i64,
}

/// Limits of the whole container. Zero and none mean none, as in Docker's API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Bytes.
    pub memory: i64,
    /// Bytes it is pressed back to when memory is short.
    pub memory_reservation: i64,
    /// Bytes of memory and swap together; -1 unlimited; 0 twice the memory.
    pub memory_swap: i64,
    /// 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// Wait instead of dying without memory. Version 1 only.
    pub oom_kill_disable: bool,
    /// Billionths of a CPU.
    pub nano_cpus: i64,
    /// Relative weight.
    pub cpu_shares: i64,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds.
    pub cpu_quota: i64,
    /// `0-2,5`.
    pub cpuset_cpus: String,
    /// `0-1`.
    pub cpuset_mems: String,
    /// Processes and threads; 0 or less is unlimited.
    pub pids_limit: Option<i64>,
    /// Microseconds.
    pub cpu_rt_period: i64,
    /// Microseconds.
    pub cpu_rt_runtime: i64,
    /// Bytes of kernel memory, which no kernel bounds any more.
    pub kernel_memory: i64,
    /// Bytes of kernel memory for TCP. Version 1 only.
    pub kernel_memory_tcp: i64,
    /// 10 to 1000.
    pub blkio_weight: u16,
    /// Paths of devices, and 10 to 1000.
    pub blkio_weight_device: Vec<(String, u16)>,
    /// Bytes a second.
    pub read_bps: Vec<DeviceRate>,
    /// Bytes a second.
    pub write_bps: Vec<DeviceRate>,
    /// Operations a second.
    pub read_iops: Vec<DeviceRate>,
    /// Operations a second.
    pub write_iops: Vec<DeviceRate>,
}

/// A bound of block I/O on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRate {
    /// Path of the device.
    pub path: String,
    /// How much a second.
    pub rate: u64,
}

/// A user namespace that was made for the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserNamespace {
    /// Where it can be joined.
    pub path: String,
    /// What its users are outside.
    pub uids: Vec<IdMapping>,
    /// What its groups are outside.
    pub gids: Vec<IdMapping>,
}

/// A range of users or groups, inside and outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMapping {
    /// The first one inside.
    pub container: u32,
    /// The first one outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Path on the host; of a directory, all in it.
    pub host: String,
    /// Path in the container.
    pub container: String,
    /// `rwm`, or part of it.
    pub permissions: String,
}

/// A namespace of its own or a shared one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Namespace {
    /// A new one.
    #[default]
    Private,
    /// The host's.
    Host,
    /// An existing one.
    Path(String),
}

/// `/dev/shm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shm {
    /// One of its own with so many bytes.
    Own(u64),
    /// A directory of the host's, which several containers can share.
    Bind(String),
    /// None.
    None,
}

impl Default for Shm {
    fn default() -> Self {
        Self::Own(64 << 20)
    }
}
