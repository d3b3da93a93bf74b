//! Ends the tasks of services that go.

use swarm_api::{Change, Object, Task};
use types::swarm::task::TaskState;

use super::dirty::Dirty;
use crate::plan::{Loop, Plan, Turn};

/// Ends the tasks of services that go: they are to be removed.
///
/// A service may be taken out of the store at once, as SwarmKit does (its name is free then, while its
/// tasks still stop), or be marked as `removing`: then it is taken out when its tasks are.
#[derive(Debug, Default)]
pub struct Removal {
    dirty: Dirty,
}

impl Removal {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Loop for Removal {
    fn name(&self) -> &'static str {
        "removal"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan {
        let mut plan = Plan::default();
        for id in self.dirty.look(turn).services {
            let service = turn.tables.service(id.as_str());
            // Tasks of no service are none of ours.
            if id.is_empty() || service.is_some_and(|s| !s.removing) {
                continue;
            }
            let mut is_empty = true;
            for task in turn.tables.tasks_of_service(id.as_str()) {
                is_empty = false;
                if task.desired < TaskState::Remove {
                    let mut task = Task::clone(task);
                    task.desired = TaskState::Remove;
                    task.meta.updated = turn.now;
                    plan.changes.push(Change::put(task));
                }
            }
            if let Some(service) = service.filter(|_| is_empty) {
                let object = Object::Service(service.clone());
                plan.changes.push(Change::remove(&object));
            }
        }
        self.dirty.finish(&mut plan);
        plan
    }
}
