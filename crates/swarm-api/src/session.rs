//! What a manager and a node's agent say to one another in a session.
//!
//! A node is told what it is to have: first all of it, then what changed since, each step numbered by what
//! it applies to and what it results in. Whoever missed a step asks for all of it again. The node says in
//! return how its tasks are; whose they are is decided by its certificate, never by what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::swarm::GenericResource;
use types::swarm::cluster::{ConfigSpec, SecretSpec};
use types::swarm::node::NodeDescription;
use types::swarm::service::PortConfig;
use types::swarm::task::{TaskSpec, TaskState};

use crate::id::Id;
use crate::object::TaskStatus;

/// A task that a node is to have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AssignedTask {
    pub id: Id,
    pub service: Id,
    pub service_name: Arc<str>,
    pub slot: u64,
    pub spec: Arc<TaskSpec>,
    /// The service's labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// How it should be.
    pub desired: TaskState,
    /// How the managers believe that it is: a node that lost its memory goes on from there.
    pub state: TaskState,
    pub ports: Arc<[PortConfig]>,
    pub job_iteration: Option<u64>,
    /// What it was given of the operator's own kinds.
    pub generic: Vec<GenericResource>,
}

/// What a node is to have of one kind, or no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Assignment {
    Task(Box<AssignedTask>),
    Secret { id: Id, spec: Arc<SecretSpec> },
    Config { id: Id, spec: Arc<ConfigSpec> },
    RemoveTask(Id),
    RemoveSecret(Id),
    RemoveConfig(Id),
}

/// What a node is told at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assignments {
    /// The step that this one follows; none where this is all that the node is to have.
    pub applies_to: Option<u64>,
    /// The number of this step.
    pub results_in: u64,
    /// Secrets and configs come before the tasks that use them, and go after them.
    pub changes: Vec<Assignment>,
}

/// How a task is, as its node says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct StatusUpdate {
    pub task: Id,
    pub status: TaskStatus,
}

/// What a node says of itself when a session begins, and when it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Hello {
    pub description: Arc<NodeDescription>,
    /// Paths of the devices it has.
    pub devices: Option<Arc<BTreeSet<String>>>,
    /// Where it connected from, as the manager saw it.
    pub addr: String,
}

/// A step that does not follow the last one: the node asks for all again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("assignments follow step {expected}, but the last one here was {held:?}")]
pub struct OutOfStep {
    /// What the step follows.
    pub expected: u64,
    /// The last step here.
    pub held: Option<u64>,
}

/// What a node has been told: the agent's half.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Held {
    step: Option<u64>,
    pub tasks: BTreeMap<Id, AssignedTask>,
    pub secrets: BTreeMap<Id, Arc<SecretSpec>>,
    pub configs: BTreeMap<Id, Arc<ConfigSpec>>,
}

impl Held {
    /// Follows what a manager says.
    ///
    /// # Errors
    /// When a step is missing; nothing changed then.
    pub fn apply(&mut self, told: Assignments) -> Result<(), OutOfStep> {
        match told.applies_to {
            None => *self = Self::default(),
            Some(expected) if self.step != Some(expected) => {
                return Err(OutOfStep {
                    expected,
                    held: self.step,
                });
            }
            Some(_) => {}
        }
        self.step = Some(told.results_in);
        for change in told.changes {
            match change {
                Assignment::Task(task) => drop(self.tasks.insert(task.id.clone(), *task)),
                Assignment::Secret { id, spec } => drop(self.secrets.insert(id, spec)),
                Assignment::Config { id, spec } => drop(self.configs.insert(id, spec)),
                Assignment::RemoveTask(id) => drop(self.tasks.remove(&id)),
                Assignment::RemoveSecret(id) => drop(self.secrets.remove(&id)),
                Assignment::RemoveConfig(id) => drop(self.configs.remove(&id)),
            }
        }
        Ok(())
    }
}
