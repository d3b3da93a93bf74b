//! What a task's node means for it.

use store::Tables;
use swarm_api::{Node, Task};
use types::swarm::node::{Availability, NodeState};
use types::swarm::task::TaskState;

use crate::constraint::{self, Constraint};

/// What a task's node means for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It may stay; also one that has no node yet.
    Stays,
    /// It must go elsewhere: the node is drained, or no longer what is asked for.
    Leaves,
    /// Nobody hears of it any more.
    Lost,
}

/// What the node means for a task that is to be where these constraints are met.
pub(crate) fn of(tables: &Tables, task: &Task, constraints: &[Constraint]) -> Fate {
    if task.node.is_empty() {
        return Fate::Stays;
    }
    match tables.node(task.node.as_str()) {
        Some(node) if !is_lost(node) => {
            let drained = node.spec.availability == Availability::Drain;
            if drained || !constraint::fits(constraints, node) {
                Fate::Leaves
            } else {
                Fate::Stays
            }
        }
        _ => Fate::Lost,
    }
}

/// Whether nothing is heard of a node. One that is unknown, as all are after a change of the leader, is
/// given time to say how it is.
pub(crate) fn is_lost(node: &Node) -> bool {
    matches!(node.state, NodeState::Down | NodeState::Disconnected)
}

/// Whether a node takes new tasks.
pub(crate) fn is_usable(node: &Node) -> bool {
    node.state == NodeState::Ready && node.spec.availability == Availability::Active
}

/// Whether something of a task may run on a node that is heard of.
pub(crate) fn may_run(tables: &Tables, task: &Task) -> bool {
    let node = || tables.node(task.node.as_str());
    task.is_live() && was_given(task) && node().is_some_and(|n| !is_lost(n))
}

/// Whether a node was told of a task.
pub(crate) fn was_given(task: &Task) -> bool {
    task.status.state >= TaskState::Assigned
}
