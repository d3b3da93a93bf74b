//! The objects in the managers' store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::swarm::GenericResource;
use types::swarm::cluster::{ConfigSpec, SecretSpec, SwarmSpec};
use types::swarm::node::{NodeDescription, NodeRole, NodeSpec, NodeState, Reachability};
use types::swarm::service::{PortConfig, ServiceMode, ServiceSpec, UpdateState};
use types::swarm::task::{TaskSpec, TaskState};

use crate::id::Id;

/// Nanoseconds since 1970. Only ever taken from the clock that is injected into the managers' loops.
pub type Time = i64;

/// What every object has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// The log's index at its last change; 0 of one that is not stored yet. The store sets it.
    pub version: u64,
    /// When it was made.
    pub created: Time,
    /// When it was changed last.
    pub updated: Time,
}

/// A node of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Node {
    pub id: Id,
    pub meta: Meta,
    pub spec: Arc<NodeSpec>,
    /// What it said of itself.
    pub description: Arc<NodeDescription>,
    /// The devices it has, by path; none while it has not said.
    pub devices: Option<Arc<BTreeSet<String>>>,
    pub state: NodeState,
    /// Why it is in this state.
    pub message: String,
    /// Where it connected from.
    pub addr: String,
    /// Its part in the quorum, while it has one.
    pub manager: Option<ManagerPart>,
    /// The role that its certificate gives it; it follows the wish in `spec`.
    pub role: NodeRole,
}

/// A manager's part in the quorum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ManagerPart {
    /// Its number in the log's protocol; never given twice.
    pub raft_id: u64,
    /// Where other managers and agents reach it.
    pub addr: String,
    pub leader: bool,
    pub reachability: Reachability,
}

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Service {
    pub id: Id,
    pub meta: Meta,
    pub spec: Arc<ServiceSpec>,
    /// Counted up with each change of the wish; what tasks were made by.
    pub spec_version: u64,
    /// What was wished before, for a rollback.
    pub previous: Option<Arc<ServiceSpec>>,
    pub previous_version: u64,
    /// Its ports, with the numbers that were found for them.
    pub ports: Arc<[PortConfig]>,
    pub update: Option<UpdateStatus>,
    pub job: Option<JobStatus>,
    /// It goes as soon as its tasks are gone.
    pub removing: bool,
}

/// How far an update of a service is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct UpdateStatus {
    pub state: UpdateState,
    pub started: Time,
    pub completed: Option<Time>,
    pub message: String,
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct JobStatus {
    /// Counted up with each run.
    pub iteration: u64,
    pub started: Time,
}

/// One run of a container for a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Task {
    pub id: Id,
    pub meta: Meta,
    pub service: Id,
    /// The service's name; also of one that is gone.
    pub service_name: Arc<str>,
    /// Its place in a replicated service, from 1; 0 in a global one.
    pub slot: u64,
    /// Where it runs; empty until it has a node.
    pub node: Id,
    /// What it runs, shared with the service's other tasks.
    pub spec: Arc<TaskSpec>,
    /// The service's labels when it was made.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The service's `spec_version` that it was made by.
    pub spec_version: u64,
    pub status: TaskStatus,
    /// How it should be. It only ever goes forward.
    pub desired: TaskState,
    /// The service's ports that lead to it.
    pub ports: Arc<[PortConfig]>,
    /// Which run of a job it belongs to.
    pub job_iteration: Option<u64>,
    /// What it was given of the operator's own kinds.
    pub generic: Vec<GenericResource>,
    /// What went before it in its place, as far as restarts and updates count it: tasks of the past may
    /// be removed, and another manager must count on.
    pub past: Option<Box<Past>>,
}

/// What went before a task in its place, while the service was wished as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Past {
    /// So many were there before it. Tells tasks of a place apart, whatever the clock does.
    pub before: u64,
    /// So many tasks ended by themselves.
    pub restarts: u64,
    /// When those of them did that are in the restart policy's window.
    pub recent: Vec<Time>,
    /// So many of the last ones did not live for the restart policy's delay.
    pub quick: u64,
    /// So long it waits after it was made before it may run, in nanoseconds.
    pub wait: i64,
    /// What an update has to do with it.
    pub update: UpdatePart,
}

/// What an update has to do with a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdatePart {
    /// Nothing.
    #[default]
    None,
    /// The update made it: while it is watched, its end is a failure.
    Made,
    /// It follows one that the update made, and that lived for long enough.
    Passed,
    /// It follows one that the update made, and that failed or ended early.
    Failed,
}

/// How a task is, as its node says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TaskStatus {
    /// When that was so.
    pub time: Time,
    /// When the managers heard of its state, by their clock. Kept by [`Task::report`].
    pub heard: Time,
    /// When the managers heard that it runs; 0 of one that never did. Kept by [`Task::report`].
    pub started: Time,
    pub state: TaskState,
    /// What was done last, or why it waits.
    pub message: Arc<str>,
    /// What went wrong.
    pub error: Arc<str>,
    pub container: Option<Box<ContainerStatus>>,
    /// Its ports of mode `host`, with their numbers.
    pub ports: Vec<PortConfig>,
}

/// A task's container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ContainerStatus {
    pub id: String,
    pub pid: i64,
    pub exit_code: i64,
}

/// A secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Secret {
    pub id: Id,
    pub meta: Meta,
    /// With the data in base64: the store is encrypted where it is kept.
    pub spec: Arc<SecretSpec>,
}

/// A file that services' containers read, and no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Config {
    pub id: Id,
    pub meta: Meta,
    pub spec: Arc<ConfigSpec>,
}

/// The cluster itself: there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Cluster {
    pub id: Id,
    pub meta: Meta,
    pub spec: Arc<SwarmSpec>,
    /// The root's certificate, which all trust.
    pub root_certificate: String,
    /// The root's key, by which managers sign.
    pub root_key: String,
    pub worker_token: String,
    pub manager_token: String,
    /// What an autolocked manager's disk is opened by.
    pub unlock_key: Option<String>,
}

impl Service {
    /// How many of its tasks are to be there at once, where that is one number.
    #[must_use]
    pub fn replicas(&self) -> Option<u64> {
        match &self.spec.mode {
            ServiceMode {
                global: Some(_), ..
            }
            | ServiceMode {
                global_job: Some(_),
                ..
            } => None,
            ServiceMode {
                replicated_job: Some(job),
                ..
            } => Some(job.max_concurrent.unwrap_or(1)),
            ServiceMode { replicated, .. } => {
                Some(replicated.as_ref().and_then(|r| r.replicas).unwrap_or(1))
            }
        }
    }

    /// Its tasks run to an end.
    #[must_use]
    pub fn is_job(&self) -> bool {
        self.spec.mode.replicated_job.is_some() || self.spec.mode.global_job.is_some()
    }

    /// It has one task on each node that fits.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.spec.mode.global.is_some() || self.spec.mode.global_job.is_some()
    }
}

impl Service {
    /// Changes what is wished. What was wished before is kept for a rollback, and an update that goes on
    /// or is paused is over: another one begins where tasks are to change.
    pub fn wish(&mut self, spec: Arc<ServiceSpec>, now: Time) {
        self.previous = Some(std::mem::replace(&mut self.spec, spec));
        self.previous_version = self.spec_version;
        self.spec_version += 1;
        self.update = None;
        self.meta.updated = now;
    }

    /// Goes back to what was wished before, as an update to it of its own; `false` where nothing is
    /// known of before. The wish gets a new number: what was made by the same one is told by its content.
    pub fn roll_back(&mut self, message: impl Into<String>, now: Time) -> bool {
        let Some(previous) = self.previous.take() else {
            return false;
        };
        self.spec = previous;
        self.previous_version = 0;
        self.spec_version += 1;
        self.update = Some(UpdateStatus {
            state: UpdateState::RollbackStarted,
            started: now,
            completed: None,
            message: message.into(),
        });
        self.meta.updated = now;
        true
    }
}

impl Task {
    /// Whether it takes up place on its node: it is there, or may be.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.status.state.is_over()
    }

    /// Whether it is wanted: it is to run, or, in a job, to run to its end.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.desired <= TaskState::Complete
    }

    /// Takes what is reported of it. How far it is only ever goes forward: an older report changes
    /// nothing. Answers whether anything changed.
    pub fn report(&mut self, mut status: TaskStatus, now: Time) -> bool {
        let old = &self.status;
        if status.state < old.state {
            return false;
        }
        status.heard = if status.state == old.state {
            old.heard
        } else {
            now
        };
        status.started = old.started;
        if status.state == TaskState::Running && old.state < TaskState::Running {
            status.started = now;
        }
        if status == *old {
            return false;
        }
        self.status = status;
        self.meta.updated = now;
        true
    }
}
