//! The enforcer: ends tasks on nodes that they do not fit any more.
//!
//! A node's labels, role or resources may change under the tasks that it runs. Those that could not be put
//! there now are to end; the orchestrators replace them elsewhere. Nodes that are drained, paused or lost are
//! not its business: orchestrators empty the first and the last, and a paused node keeps what it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::{Heard, Tables};
use swarm_api::{Change, Id, Node, Object, Task, Time};
use types::swarm::node::{Availability, NodeState};
use types::swarm::task::{Resources, TaskState};

use crate::constraint;
use crate::plan::{Loop, Plan, Turn};
use crate::room::{Room, reserved};

/// Ends tasks on nodes that they do not fit any more.
#[derive(Debug, Default)]
pub struct Enforcer;

impl Loop for Enforcer {
    fn name(&self) -> &'static str {
        "enforcer"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan {
        let mut plan = Plan::default();
        match turn.heard {
            Heard::Everything => {
                for node in turn.tables.nodes() {
                    enforce(turn.tables, node, turn.now, &mut plan);
                }
            }
            Heard::Events(events) => {
                let nodes: BTreeSet<_> = events.iter().filter_map(concerns).collect();
                for node in nodes
                    .into_iter()
                    .filter_map(|id| turn.tables.node(id.as_str()))
                {
                    enforce(turn.tables, node, turn.now, &mut plan);
                }
            }
        }
        plan
    }
}

/// The node that is to be looked at after a change: one that is another than before, and that of a task
/// which was given it from an older state of it.
fn concerns(event: &store::Event) -> Option<&Id> {
    match (&event.old, event.new.as_ref()?) {
        (Some(Object::Node(old)), Object::Node(new)) => {
            let same = old.spec == new.spec
                && old.role == new.role
                && old.addr == new.addr
                && old.description == new.description
                && old.state == new.state;
            (!same).then_some(&new.id)
        }
        (Some(Object::Task(old)), Object::Task(new)) => {
            let given = old.status.state < TaskState::Assigned;
            (given && new.status.state >= TaskState::Assigned).then_some(&new.node)
        }
        _ => None,
    }
}

fn enforce(tables: &Tables, node: &Node, now: Time, plan: &mut Plan) {
    if node.spec.availability == Availability::Drain || node.state == NodeState::Down {
        return;
    }
    let mut room = Room::of(&node.description.resources);
    // What ends anyway makes room soon.
    let stays =
        |t: &&Arc<Task>| t.is_live() && t.is_wanted() && t.status.state >= TaskState::Assigned;
    let mut tasks: Vec<_> = tables
        .tasks_of_node(node.id.as_str())
        .filter(stays)
        .collect();
    // What was there longer has the first right.
    tasks.sort_by_key(|t| (t.meta.created, t.id.clone()));
    for task in tasks {
        if has_its_part(task, &room) && meets_constraints(task, node) {
            room.take(task);
            continue;
        }
        let mut task = Task::clone(task);
        task.desired = TaskState::Shutdown;
        task.status.message = "task rejected by constraint enforcer".into();
        task.status.error = "assigned node no longer meets constraints".into();
        task.meta.updated = now;
        plan.changes.push(Change::put(task));
    }
}

fn has_its_part(task: &Task, room: &Room) -> bool {
    let Some(reserved) = reserved(task) else {
        return true;
    };
    room.fits(&Resources {
        generic_resources: task.generic.clone(),
        ..reserved.clone()
    })
}

fn meets_constraints(task: &Task, node: &Node) -> bool {
    let Some(placement) = &task.spec.placement else {
        return true;
    };
    let constraints = constraint::parse(&placement.constraints);
    constraints.is_ok_and(|constraints| constraint::fits(&constraints, node))
}

#[cfg(test)]
mod tests;
