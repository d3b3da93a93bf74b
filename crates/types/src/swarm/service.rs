//! Services: what a user wants to run, as the Docker Engine API describes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ObjectVersion;
use super::task::TaskSpec;

/// What is wanted of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceSpec {
    /// Its name, unique in the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What each task runs.
    pub task_template: TaskSpec,
    /// How many tasks, and where.
    pub mode: ServiceMode,
    /// How changes are rolled out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_config: Option<UpdateConfig>,
    /// How a change is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_config: Option<UpdateConfig>,
    /// Networks of all tasks; older clients say it here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachmentConfig>,
    /// How it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_spec: Option<EndpointSpec>,
}
/// One of the modes; the first that is there counts, and replicated where none is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceMode {
    /// A number of tasks, kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated: Option<Replicated>,
    /// One task on each node that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global: Option<Empty>,
    /// A number of tasks that end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated_job: Option<ReplicatedJob>,
    /// One task on each node that fits, which ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_job: Option<Empty>,
}
/// An object without fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Empty {}
/// How many tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Replicated {
    /// 1 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
}
/// How many tasks run to their end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplicatedJob {
    /// At once; 1 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u64>,
    /// In all; as many as at once where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_completions: Option<u64>,
}
/// What is done when too many tasks of an update fail.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum FailureAction {
    /// It stops.
    #[default]
    #[serde(rename = "pause", alias = "")]
    Pause,
    /// It goes on.
    #[serde(rename = "continue")]
    Continue,
    /// It is taken back.
    #[serde(rename = "rollback")]
    Rollback,
}

impl FailureAction {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Continue => "continue",
            Self::Rollback => "rollback",
        }
    }
}
/// What comes first in an update.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum UpdateOrder {
    /// The old task stops, then the new one starts.
    #[default]
    #[serde(rename = "stop-first", alias = "")]
    StopFirst,
    /// The new task runs, then the old one stops.
    #[serde(rename = "start-first")]
    StartFirst,
}

impl UpdateOrder {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::StopFirst => "stop-first",
            Self::StartFirst => "start-first",
        }
    }
}
/// How a change is rolled out. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateConfig {
    /// Tasks at once; 0 is all.
    pub parallelism: u64,
    /// Between one batch and the next.
    #[serde(skip_serializing_if = "super::zero")]
    pub delay: i64,
    /// When too many fail.
    pub failure_action: FailureAction,
    /// How long a new task is watched; 5 seconds where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<i64>,
    /// The part that may fail.
    pub max_failure_ratio: f64,
    /// What comes first.
    pub order: UpdateOrder,
}
/// A network of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachmentConfig {
    /// The network, by identifier or name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Further names in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Options of its driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
}
/// How a name leads to tasks.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum EndpointMode {
    /// By one address, which is balanced.
    #[default]
    #[serde(rename = "vip", alias = "")]
    Vip,
    /// By the addresses of all tasks.
    #[serde(rename = "dnsrr")]
    DnsRr,
}

impl EndpointMode {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Vip => "vip",
            Self::DnsRr => "dnsrr",
        }
    }
}
/// How a service is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSpec {
    /// By name.
    pub mode: EndpointMode,
    /// From outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
}
/// What a port speaks.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Protocol {
    /// TCP.
    #[default]
    #[serde(rename = "tcp", alias = "")]
    Tcp,
    /// UDP.
    #[serde(rename = "udp")]
    Udp,
    /// SCTP.
    #[serde(rename = "sctp")]
    Sctp,
}

impl Protocol {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}
/// Where a port is open.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum PublishMode {
    /// On each node, leading to all tasks.
    #[default]
    #[serde(rename = "ingress", alias = "")]
    Ingress,
    /// On the nodes that run a task, leading to that task.
    #[serde(rename = "host")]
    Host,
}

impl PublishMode {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Host => "host",
        }
    }
}
/// A published port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortConfig {
    /// A name for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// In the container.
    #[serde(skip_serializing_if = "super::zero")]
    pub target_port: u16,
    /// Outside; 0 is one that is free.
    #[serde(skip_serializing_if = "super::zero")]
    pub published_port: u16,
    /// Where it is open.
    pub publish_mode: PublishMode,
}
/// How far an update is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum UpdateState {
    /// It goes on.
    #[default]
    #[serde(rename = "updating", alias = "")]
    Updating,
    /// It stopped because tasks failed.
    #[serde(rename = "paused")]
    Paused,
    /// All tasks are new.
    #[serde(rename = "completed")]
    Completed,
    /// It is taken back.
    #[serde(rename = "rollback_started")]
    RollbackStarted,
    /// Taking it back stopped because tasks failed.
    #[serde(rename = "rollback_paused")]
    RollbackPaused,
    /// It was taken back.
    #[serde(rename = "rollback_completed")]
    RollbackCompleted,
}

impl UpdateState {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Updating => "updating",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::RollbackStarted => "rollback_started",
            Self::RollbackPaused => "rollback_paused",
            Self::RollbackCompleted => "rollback_completed",
        }
    }
}
/// `GET /services/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
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
    /// What is wanted.
    pub spec: ServiceSpec,
    /// What was wanted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_spec: Option<Box<ServiceSpec>>,
    /// How it is reached.
    pub endpoint: Endpoint,
    /// Of the last update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_status: Option<UpdateStatus>,
    /// Counts, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_status: Option<ServiceStatus>,
    /// Of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_status: Option<JobStatus>,
}
/// How a service is reached, as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Endpoint {
    /// What was wanted.
    pub spec: EndpointSpec,
    /// With the numbers that were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
    /// Its address in each network.
    #[serde(rename = "VirtualIPs", skip_serializing_if = "Vec::is_empty")]
    pub virtual_ips: Vec<VirtualIp>,
}
/// A service's address in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VirtualIp {
    /// The network.
    #[serde(rename = "NetworkID", skip_serializing_if = "String::is_empty")]
    pub network_id: String,
    /// The address, with the length of the network's prefix.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
}
/// How far an update is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStatus {
    /// Its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<UpdateState>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}
/// How many tasks there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceStatus {
    /// That run.
    pub running_tasks: u64,
    /// That are wanted.
    pub desired_tasks: u64,
    /// Of a job, that are done.
    pub completed_tasks: u64,
}
/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStatus {
    /// Counted with each run.
    pub job_iteration: ObjectVersion,
    /// RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_execution: String,
}
