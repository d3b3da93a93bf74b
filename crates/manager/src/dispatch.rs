//! What nodes are told, and what is believed of what they say: the dispatcher without its connections.
//!
//! A node hears of its own tasks, and of the secrets and configs that those of them use that are not over.
//! Whoever holds the connection keeps a [`Told`] for it, and gives it a look at the tables after each change
//! of the node's tasks ([`touched`]).

use std::collections::{BTreeMap, BTreeSet};

use store::{Event, Tables};
use swarm_api::session::{AssignedTask, Assignment, Assignments, StatusUpdate};
use swarm_api::{Change, Id, Object, Task, TaskStatus, Time};
use types::swarm::task::TaskState;

/// What a node was told in this session.
#[derive(Debug, Default)]
pub struct Told {
    step: u64,
    /// Its tasks, and how each should be.
    tasks: BTreeMap<Id, TaskState>,
    secrets: BTreeSet<Id>,
    configs: BTreeSet<Id>,
}

/// The node whose assignments a change may be about. A change of a secret is about none: what tasks use is
/// never changed.
#[must_use]
pub fn touched(event: &Event) -> Option<&Id> {
    // A task that has a node keeps it, so the newer state tells.
    match event.new.as_ref().or(event.old.as_ref())? {
        Object::Task(task) if !task.node.is_empty() => Some(&task.node),
        _ => None,
    }
}

/// Whether a node hears of its task. It does so also of one that is over, until the task itself goes: the
/// container stays for its logs. One that nobody knew about for too long is gone.
fn is_told(task: &Task) -> bool {
    let state = task.status.state;
    state >= TaskState::Assigned && state != TaskState::Orphaned && state != TaskState::Remove
}

impl Told {
    /// All that the node is to have: the first step of a session, and after a gap.
    pub fn all(&mut self, tables: &Tables, node: &Id) -> Assignments {
        *self = Self {
            step: self.step,
            ..Self::default()
        };
        let changes = self.changes(tables, node);
        self.step += 1;
        Assignments {
            applies_to: None,
            results_in: self.step,
            changes,
        }
    }

    /// What changed since the last step, if anything did.
    pub fn difference(&mut self, tables: &Tables, node: &Id) -> Option<Assignments> {
        let changes = self.changes(tables, node);
        if changes.is_empty() {
            return None;
        }
        let applies_to = Some(self.step);
        self.step += 1;
        Some(Assignments {
            applies_to,
            results_in: self.step,
            changes,
        })
    }

    fn changes(&mut self, tables: &Tables, node: &Id) -> Vec<Assignment> {
        let mut tasks = BTreeMap::new();
        let mut changed = Vec::new();
        let mut secrets = BTreeSet::new();
        let mut configs = BTreeSet::new();
        for task in tables.tasks_of_node(node.as_str()).filter(|t| is_told(t)) {
            tasks.insert(task.id.clone(), task.desired);
            if self.tasks.get(&task.id) != Some(&task.desired) {
                changed.push(Assignment::Task(Box::new(assigned(task))));
            }
            if let Some(container) = task.spec.container_spec.as_ref().filter(|_| task.is_live()) {
                secrets.extend(container.secrets.iter().map(|s| s.secret_id.clone()));
                configs.extend(container.configs.iter().map(|c| c.config_id.clone()));
            }
        }
        let secrets: BTreeMap<_, _> = secrets
            .iter()
            .filter_map(|id| tables.secret(id))
            .map(|secret| (secret.id.clone(), secret.spec.clone()))
            .collect();
        let configs: BTreeMap<_, _> = configs
            .iter()
            .filter_map(|id| tables.config(id))
            .map(|config| (config.id.clone(), config.spec.clone()))
            .collect();

        let mut changes = Vec::new();
        let new = secrets.iter().filter(|(id, _)| !self.secrets.contains(*id));
        changes.extend(new.map(|(id, spec)| Assignment::Secret {
            id: id.clone(),
            spec: spec.clone(),
        }));
        let new = configs.iter().filter(|(id, _)| !self.configs.contains(*id));
        changes.extend(new.map(|(id, spec)| Assignment::Config {
            id: id.clone(),
            spec: spec.clone(),
        }));
        changes.append(&mut changed);
        let gone = self.tasks.keys().filter(|id| !tasks.contains_key(*id));
        changes.extend(gone.cloned().map(Assignment::RemoveTask));
        let gone = self.secrets.iter().filter(|id| !secrets.contains_key(*id));
        changes.extend(gone.cloned().map(Assignment::RemoveSecret));
        let gone = self.configs.iter().filter(|id| !configs.contains_key(*id));
        changes.extend(gone.cloned().map(Assignment::RemoveConfig));

        self.tasks = tasks;
        self.secrets = secrets.into_keys().collect();
        self.configs = configs.into_keys().collect();
        changes
    }
}

fn assigned(task: &Task) -> AssignedTask {
    AssignedTask {
        id: task.id.clone(),
        service: task.service.clone(),
        service_name: task.service_name.clone(),
        slot: task.slot,
        spec: task.spec.clone(),
        labels: task.labels.clone(),
        desired: task.desired,
        state: task.status.state,
        ports: task.ports.clone(),
        job_iteration: task.job_iteration,
        generic: task.generic.clone(),
    }
}

/// Why what a node said of a task is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is another node's, or nobody's.
    #[error("cannot update a task not assigned this node")]
    NotItsTask,
    /// A node only says how tasks are that it has accepted.
    #[error("a node cannot say that a task is {}", .0.word())]
    NotItsWord(TaskState),
}

/// What nodes said, until it is written: the last word of each task.
#[derive(Debug, Default)]
pub struct Updates(BTreeMap<Id, TaskStatus>);

impl Updates {
    /// A node says how a task is; `node` is who it is by its certificate. What is old news is passed over.
    ///
    /// # Errors
    /// When it is not the node's to say. A task that is gone is no error: the node may not know it yet.
    pub fn add(&mut self, tables: &Tables, node: &Id, update: StatusUpdate) -> Result<(), Refused> {
        let Some(task) = tables.task(update.task.as_str()) else {
            return Ok(());
        };
        if task.node != *node || node.is_empty() {
            return Err(Refused::NotItsTask);
        }
        let state = update.status.state;
        if !(TaskState::Accepted..=TaskState::Rejected).contains(&state) {
            return Err(Refused::NotItsWord(state));
        }
        if !is_news(&task.status, &update.status) {
            return Ok(());
        }
        let last = self.0.get(&task.id);
        if last.is_none_or(|last| is_news(last, &update.status)) {
            self.0.insert(update.task, update.status);
        }
        Ok(())
    }

    /// Nothing waits to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that was said, as changes of the tables as they are.
    pub fn take(&mut self, tables: &Tables, now: Time) -> Vec<Change> {
        let said = std::mem::take(&mut self.0);
        let changes = said.into_iter().filter_map(|(id, status)| {
            let task = tables.task(id.as_str())?;
            if !is_news(&task.status, &status) {
                return None;
            }
            let mut task = Task::clone(task);
            task.report(status, now).then(|| Change::put(task))
        });
        changes.collect()
    }
}

/// A task never goes back, and its end is its end.
fn is_news(old: &TaskStatus, new: &TaskStatus) -> bool {
    if old.state.is_over() || new.state < old.state {
        return false;
    }
    let same = new.state == old.state
        && new.message == old.message
        && new.error == old.error
        && new.container == old.container
        && new.ports == old.ports;
    !same
}

#[cfg(test)]
mod tests;
