//! A service's tasks by their places.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use store::Tables;
use swarm_api::{Id, Node, Task};
use types::swarm::task::TaskState;

use super::fate;
use super::work::Work;
use crate::constraint;

/// A place for one task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A number of a replicated service.
    Slot(u64),
    /// A node of a global one.
    Node(Id),
}

impl Place {
    /// Where a task is.
    pub(crate) fn of(task: &Task, global: bool) -> Self {
        if global {
            Self::Node(task.node.clone())
        } else {
            Self::Slot(task.slot)
        }
    }
}

/// The tasks of one place.
#[derive(Debug, Default)]
pub(crate) struct Slot<'a> {
    /// Those that are to run, the oldest first. One, or two while one replaces the other.
    pub(crate) wanted: Vec<&'a Arc<Task>>,
    /// Those that are to be over, and are kept, the oldest first.
    pub(crate) past: Vec<&'a Arc<Task>>,
    /// Those that are to be removed.
    pub(crate) leaving: Vec<&'a Arc<Task>>,
    /// Something was decided in this turn: what follows from it is decided in the next one.
    pub(crate) touched: bool,
}

/// The places of a service's tasks.
pub(crate) type Slots<'a> = BTreeMap<Place, Slot<'a>>;

/// Sorts tasks by their places.
pub(crate) fn group<'a>(tasks: impl Iterator<Item = &'a Arc<Task>>, global: bool) -> Slots<'a> {
    let mut slots = Slots::new();
    for task in tasks {
        let slot = slots.entry(Place::of(task, global)).or_default();
        if task.is_wanted() {
            slot.wanted.push(task);
        } else if task.desired == TaskState::Remove {
            slot.leaving.push(task);
        } else {
            slot.past.push(task);
        }
    }
    for slot in slots.values_mut() {
        slot.wanted.sort_by_key(|t| age(t));
        slot.past.sort_by_key(|t| age(t));
    }
    slots
}

/// Makes the places the nodes that are to have a task, of those that `takes` says may.
pub(crate) fn on_nodes<'a>(
    work: &Work<'a, '_>,
    slots: &mut Slots<'a>,
    takes: impl Fn(&Node) -> bool,
) {
    let fits = |node: &Node| {
        fate::is_usable(node) && takes(node) && constraint::fits(&work.constraints, node)
    };
    let nodes = work.tables.nodes().filter(|node| fits(node));
    let places: BTreeSet<Place> = nodes.map(|node| Place::Node(node.id.clone())).collect();
    slots.retain(|place, _| places.contains(place));
    for place in places {
        slots.entry(place).or_default();
    }
}

/// Orders tasks of a place by when they were made.
fn age(task: &Task) -> (u64, i64, &Id) {
    let before = task.past.as_ref().map_or(0, |p| p.before);
    (before, task.meta.created, &task.id)
}

impl<'a> Slot<'a> {
    /// The task that was made last, of those that are kept.
    pub(crate) fn newest(&self) -> Option<&'a Arc<Task>> {
        let both = [self.wanted.last(), self.past.last()];
        both.into_iter().flatten().copied().max_by_key(|t| age(t))
    }

    /// Nothing is here but what is to be removed.
    pub(crate) fn is_bare(&self) -> bool {
        self.wanted.is_empty() && self.past.is_empty()
    }

    /// Whether one of its tasks runs as it should.
    pub(crate) fn runs(&self) -> bool {
        self.wanted.iter().any(|t| is_running(t))
    }

    /// Whether a task that is to be over may still run.
    pub(crate) fn is_occupied(&self, tables: &Tables) -> bool {
        let mut going = self.past.iter().chain(&self.leaving);
        going.any(|t| fate::may_run(tables, t))
    }
}

/// Whether it runs.
pub(crate) fn is_running(task: &Task) -> bool {
    task.status.state == TaskState::Running
}
