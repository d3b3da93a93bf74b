//! Tasks: one run of a container for a service, as the Docker Engine API describes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::service::{NetworkAttachmentConfig, PortConfig};
use super::{GenericResource, ObjectVersion};
use crate::container::{HealthConfig, MountSpec, Ulimit};

/// What a task runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskSpec {
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_spec: Option<ContainerSpec>,
    /// A plugin, which is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_spec: Option<serde_json::Value>,
    /// A container that joins a network, which is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_attachment_spec: Option<serde_json::Value>,
    /// What it needs and may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// When another task takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// Where it may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// Counted up to have all tasks made anew.
    pub force_update: u64,
    /// `container`, or what is refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime: String,
    /// The networks it is in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachmentConfig>,
    /// Where its output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<Driver>,
}
/// A driver with its options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Its options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}
/// The container of a task. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerSpec {
    /// By digest, as soon as it is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Of the container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// In the place of the image's entrypoint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// In the place of the image's command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// May be a template.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// `NAME=VALUE`; may be templates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Where it starts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dir: String,
    /// As whom.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Further groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What protects the host from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileges: Option<Privileges>,
    /// With a terminal.
    #[serde(rename = "TTY", skip_serializing_if = "std::ops::Not::not")]
    pub tty: bool,
    /// With an open input.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub open_stdin: bool,
    /// Its root cannot be written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// What is mounted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountSpec>,
    /// By which it is asked to end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// How long it is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<i64>,
    /// In the place of the image's.
    #[serde(rename = "Healthcheck", skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthConfig>,
    /// `ADDRESS NAME`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Whom it asks for names.
    #[serde(rename = "DNSConfig", skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Secrets it reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretReference>,
    /// How soon it ends when memory is short.
    #[serde(skip_serializing_if = "super::zero")]
    pub oom_score_adj: i64,
    /// Files it reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ConfigReference>,
    /// `default`, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub isolation: String,
    /// With a first process of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Kernel parameters of its namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// More rights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capability_add: Vec<String>,
    /// Fewer rights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capability_drop: Vec<String>,
    /// Limits of its processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<Ulimit>,
    /// With all rights, as `run --privileged`; Docker's services lack it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// The node's devices; Docker's services lack it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<crate::container::DeviceMapping>,
}
/// What protects the host from a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Privileges {
    /// Of Windows, which is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_spec: Option<serde_json::Value>,
    /// Its label.
    #[serde(rename = "SELinuxContext", skip_serializing_if = "Option::is_none")]
    pub se_linux_context: Option<serde_json::Value>,
    /// Its filter of system calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<SeccompOptions>,
    /// Its profile.
    #[serde(rename = "AppArmor", skip_serializing_if = "Option::is_none")]
    pub app_armor: Option<AppArmorOptions>,
    /// It cannot gain rights.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_new_privileges: bool,
}
/// A filter of system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SeccompOptions {
    /// `default`, `unconfined` or `custom`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// Of `custom`, in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
}
/// A profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AppArmorOptions {
    /// `default` or `disabled`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}
/// Whom a container asks for names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsConfig {
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Domains that are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Of resolv.conf.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}
/// Where a secret or a config is a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FileTarget {
    /// Path in the container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Owner.
    #[serde(rename = "UID", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Group.
    #[serde(rename = "GID", skip_serializing_if = "String::is_empty")]
    pub gid: String,
    /// Of the file.
    pub mode: u32,
}
/// A secret that a container reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecretReference {
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileTarget>,
    /// Which.
    #[serde(rename = "SecretID", skip_serializing_if = "String::is_empty")]
    pub secret_id: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_name: String,
}
/// A config that a container reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigReference {
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileTarget>,
    /// It is used, but not as a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<super::service::Empty>,
    /// Which.
    #[serde(rename = "ConfigID", skip_serializing_if = "String::is_empty")]
    pub config_id: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub config_name: String,
}
/// What a task needs and may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ResourceRequirements {
    /// What it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limit>,
    /// What is set aside for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<Resources>,
}
/// What a task may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Limit {
    /// Billionths of a processor.
    #[serde(rename = "NanoCPUs", skip_serializing_if = "super::zero")]
    pub nano_cpus: i64,
    /// Bytes.
    #[serde(skip_serializing_if = "super::zero")]
    pub memory_bytes: i64,
    /// Processes.
    #[serde(skip_serializing_if = "super::zero")]
    pub pids: i64,
}
/// An amount of what a node has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    /// Billionths of a processor.
    #[serde(rename = "NanoCPUs", skip_serializing_if = "super::zero")]
    pub nano_cpus: i64,
    /// Bytes.
    #[serde(skip_serializing_if = "super::zero")]
    pub memory_bytes: i64,
    /// Of the operator's own kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generic_resources: Vec<GenericResource>,
}
/// When another task takes an ended one's place.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum RestartCondition {
    /// Always.
    #[default]
    #[serde(rename = "any", alias = "")]
    Any,
    /// When it failed.
    #[serde(rename = "on-failure")]
    OnFailure,
    /// Never.
    #[serde(rename = "none")]
    None,
}

impl RestartCondition {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::OnFailure => "on-failure",
            Self::None => "none",
        }
    }
}
/// When another task takes an ended one's place. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// When.
    pub condition: RestartCondition,
    /// Before it; 5 seconds where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<i64>,
    /// How often, within the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u64>,
    /// In which they are counted; 0 is always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<i64>,
}
/// Where a task may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Placement {
    /// `node.role==manager`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// What tasks are spread over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferences: Vec<PlacementPreference>,
    /// On one node; 0 is any number.
    #[serde(skip_serializing_if = "super::zero")]
    pub max_replicas: u64,
    /// Of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
}
/// What tasks are spread over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlacementPreference {
    /// Values of a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
}
/// A label that tasks are spread over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Spread {
    /// `node.labels.zone`, …
    pub spread_descriptor: String,
}
/// A machine and its system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Platform {
    /// `x86_64`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// `linux`.
    #[serde(rename = "OS", skip_serializing_if = "String::is_empty")]
    pub os: String,
}
/// How far a task is. What is later in this order never becomes earlier.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// Made.
    #[default]
    New,
    /// It has what the cluster gives: ports, addresses.
    Allocated,
    /// It waits for a node.
    Pending,
    /// It has a node.
    Assigned,
    /// The node knows of it.
    Accepted,
    /// The node fetches what it needs.
    Preparing,
    /// It can start.
    Ready,
    /// It starts.
    Starting,
    /// It runs, and is healthy where that is asked.
    Running,
    /// It ended well.
    Complete,
    /// It was ended because it is not wanted.
    Shutdown,
    /// It ended badly.
    Failed,
    /// The node cannot run it.
    Rejected,
    /// It is to be removed.
    Remove,
    /// Nobody knows how it is: its node has been away for too long.
    Orphaned,
}

impl TaskState {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Allocated => "allocated",
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Remove => "remove",
            Self::Orphaned => "orphaned",
        }
    }

    /// Nothing of it runs any more, and nothing will.
    #[must_use]
    pub fn is_over(self) -> bool {
        self > Self::Running
    }
}

/// `GET /tasks/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    /// Its identifier.
    #[serde(rename = "ID")]
    pub id: String,
    /// Of this state.
    pub version: ObjectVersion,
    /// RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created_at: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub updated_at: String,
    /// Only of tasks without a service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it runs.
    pub spec: TaskSpec,
    /// Whose it is.
    #[serde(rename = "ServiceID", skip_serializing_if = "String::is_empty")]
    pub service_id: String,
    /// Its place in a replicated service.
    #[serde(skip_serializing_if = "super::zero")]
    pub slot: u64,
    /// Where it runs.
    #[serde(rename = "NodeID", skip_serializing_if = "String::is_empty")]
    pub node_id: String,
    /// How it is.
    pub status: TaskStatus,
    /// How it should be.
    pub desired_state: TaskState,
    /// Of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_iteration: Option<ObjectVersion>,
    /// Its addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks_attachments: Vec<serde_json::Value>,
    /// What it was given of the operator's own kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assigned_generic_resources: Vec<GenericResource>,
}
/// How a task is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskStatus {
    /// RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timestamp: String,
    /// How far it is.
    pub state: TaskState,
    /// What was done last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What went wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub err: String,
    /// Its container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_status: Option<ContainerStatus>,
    /// Its ports of mode `host`.
    pub port_status: PortStatus,
}
/// A task's container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerStatus {
    /// Its identifier on the node.
    #[serde(rename = "ContainerID", skip_serializing_if = "String::is_empty")]
    pub container_id: String,
    /// Its first process.
    #[serde(rename = "PID")]
    pub pid: i64,
    /// How it ended.
    pub exit_code: i64,
}
/// A task's ports of mode `host`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortStatus {
    /// With their numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
}
