//! Removes tasks that ended.

use std::sync::Arc;

use store::Tables;
use swarm_api::{Change, Object, Task};

use super::dirty::Dirty;
use super::fate;
use super::slot::{self, Slot};
use crate::plan::{Loop, Plan, Turn};

/// How many tasks of each place are kept where nothing is said.
const LIMIT: i64 = 5;

/// Removes tasks that are to be removed, as soon as nothing of them can run, and the oldest ended ones of
/// a place where there are more than the cluster's task history limit, those that run counted among
/// them. A negative limit keeps all. The last task of a place always stays: what follows it is counted on
/// from there.
#[derive(Debug, Default)]
pub struct Reaper {
    dirty: Dirty,
    limit: Option<i64>,
}

impl Reaper {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Loop for Reaper {
    fn name(&self) -> &'static str {
        "reaper"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan {
        let mut plan = Plan::default();
        let tables = turn.tables;
        let limit = tables
            .cluster()
            .and_then(|c| c.spec.orchestration.task_history_retention_limit)
            .unwrap_or(LIMIT);
        let mut look = self.dirty.look(turn);
        if self.limit.replace(limit) != Some(limit) {
            look.services = tables.services().map(|s| s.id.clone()).collect();
        }
        for id in look.services {
            let is_global = tables.service(id.as_str()).is_some_and(|s| s.is_global());
            let tasks = tables.tasks_of_service(id.as_str());
            for slot in slot::group(tasks, is_global).values() {
                reap(tables, slot, limit, &mut plan);
            }
        }
        self.dirty.finish(&mut plan);
        plan
    }
}

fn reap(tables: &Tables, slot: &Slot<'_>, limit: i64, plan: &mut Plan) {
    let mut remove = |task: &Arc<Task>| {
        plan.changes
            .push(Change::remove(&Object::Task(task.clone())));
    };
    for task in &slot.leaving {
        // A node that comes back ends what the managers do not know.
        if !fate::may_run(tables, task) {
            remove(task);
        }
    }
    let Ok(limit) = usize::try_from(limit) else {
        return;
    };
    let newest = slot.newest().map(|t| &t.id);
    let mut many = (slot.wanted.len() + slot.past.len()).saturating_sub(limit);
    for task in &slot.past {
        if many == 0 {
            break;
        }
        if Some(&task.id) != newest && is_ended(tables, task) {
            remove(task);
            many -= 1;
        }
    }
}

/// Whether a task that is to be over is. One on a node that is away may still run, and is shown as long as
/// the node may come back.
fn is_ended(tables: &Tables, task: &Task) -> bool {
    task.status.state.is_over()
        || !fate::was_given(task)
        || tables.node(task.node.as_str()).is_none()
}
