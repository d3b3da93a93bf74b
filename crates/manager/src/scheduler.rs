//! The scheduler: gives tasks that wait a node.
//!
//! Tasks of one service and one version of its wish want the same, so they are placed together: each node is
//! looked at once for all of them, and those that fit wait in a heap for the next task. Nodes with the fewest
//! tasks of the service come first, then those with the fewest in all; a node where the service's tasks keep
//! failing comes last. What runs where is kept in memory and follows the store's events.
//!
//! Tasks that fit nowhere keep waiting, and their status says why, in Docker's words. They are tried again
//! when a node changed in which they fit; explanations that only count other nodes are renewed once a second.

mod filter;
mod hosts;
mod known;
mod spread;
mod wish;

use std::sync::Arc;

use store::Heard;
use swarm_api::{Change, Id, Object, Task, TaskStatus, Time};
use types::swarm::task::TaskState;

pub use filter::Filter;
use filter::Refusals;
use known::{Known, Wishers};
use spread::Tree;
use wish::Wish;

use crate::plan::{Loop, Plan, Turn};

/// Explanations are made anew so often at most.
const EXPLAIN_EVERY: Time = 1_000_000_000;

/// Gives tasks that wait a node.
#[derive(Debug, Default)]
pub struct Scheduler {
    known: Known,
}

impl Loop for Scheduler {
    fn name(&self) -> &'static str {
        "scheduler"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan {
        self.known.hear(turn.tables, turn.heard, turn.now);
        let mut work = Work {
            known: &mut self.known,
            now: turn.now,
            plan: Plan::default(),
        };
        work.confirm_fixed();
        work.place_all();
        let plan = work.plan;
        self.known.changed.clear();
        plan
    }
}

/// What speaks against each node, for a task that waits; none where it fits.
#[must_use]
pub fn explain(tables: &store::Tables, task: &Task, now: Time) -> Vec<(Id, Option<Filter>)> {
    let mut known = Known::default();
    known.hear(tables, &Heard::Everything, now);
    let wish = Wish::of(task);
    let hosts = &known.hosts;
    let nodes = hosts.iter().map(|(place, host)| {
        let against = wish.refuses(host, hosts.tasks_of(&task.service, place));
        (host.node.id.clone(), against)
    });
    nodes.collect()
}

/// One turn.
struct Work<'a> {
    known: &'a mut Known,
    now: Time,
    plan: Plan,
}

impl Work<'_> {
    /// Tasks that have a node already start there if they fit.
    fn confirm_fixed(&mut self) {
        if self.known.fixed.is_empty() {
            return;
        }
        let nodes = self.known.changed.iter();
        let nodes =
            nodes.filter_map(|place| Some((*place, self.known.hosts.get(*place)?.node.id.clone())));
        for (place, node) in nodes.collect::<Vec<_>>() {
            for id in self.known.fixed.get(&node).cloned().unwrap_or_default() {
                let Some(task) = self.known.task(&id).cloned() else {
                    continue;
                };
                let wish = Wish::of(&task);
                let Some(host) = self.known.hosts.get(place) else {
                    continue;
                };
                let tasks = self.known.hosts.tasks_of(&task.service, place);
                match wish.refuses(host, tasks) {
                    None => {
                        let message = "scheduler confirmed task can run on preassigned node";
                        self.assign(&task, &wish, place, &message.into());
                    }
                    Some(filter) => {
                        let mut refusals = Refusals::default();
                        refusals.add(filter);
                        self.explain(&task, &refusals.explain().into());
                    }
                }
            }
        }
    }

    fn place_all(&mut self) {
        let due = |tried: Time, now: Time| now < tried || now - tried >= EXPLAIN_EVERY;
        let of: Vec<_> = self.known.groups.keys().cloned().collect();
        for of in of {
            let Some(group) = self.known.groups.get_mut(&of) else {
                continue;
            };
            group.stale |= !self.known.changed.is_empty();
            let (fresh, stale, tried) = (group.fresh, group.stale, group.tried);
            if fresh || (stale && (due(tried, self.now) || self.fits_changed(&of))) {
                self.place(&of);
            } else if stale {
                self.plan.wake_at(tried + EXPLAIN_EVERY);
            }
        }
    }

    /// Whether one of the nodes that changed takes a task of these.
    fn fits_changed(&self, of: &Wishers) -> bool {
        let Some(task) = self.first_of(of) else {
            return false;
        };
        let wish = Wish::of(&task);
        let hosts = &self.known.hosts;
        self.known.changed.iter().any(|place| {
            let tasks = hosts.tasks_of(&of.0, *place);
            hosts
                .get(*place)
                .is_some_and(|host| wish.refuses(host, tasks).is_none())
        })
    }

    fn first_of(&self, of: &Wishers) -> Option<Arc<Task>> {
        let (_, id) = self.known.groups.get(of)?.tasks.first()?;
        self.known.task(id).cloned()
    }

    /// Places as many tasks as fit, and tells the others why they do not.
    fn place(&mut self, of: &Wishers) {
        let Some(group) = self.known.groups.get_mut(of) else {
            return;
        };
        (group.fresh, group.stale, group.tried) = (false, false, self.now);
        let tasks: Vec<_> = group.tasks.iter().map(|(_, id)| id.clone()).collect();
        let Some(first) = self.first_of(of) else {
            return;
        };
        let wish = Wish::of(&first);
        let (mut tree, mut refusals) = self.candidates(of, &wish);
        let message: Arc<str> = "scheduler assigned task to node".into();
        let mut tasks = tasks
            .into_iter()
            .filter_map(|id| self.known.task(&id).cloned())
            .collect::<Vec<_>>()
            .into_iter()
            .peekable();
        let mut placed = false;
        while let Some(task) = tasks.peek() {
            let image = self.known.hosts.image(&wish.image);
            let put = |place: usize| {
                self.assign(task, &wish, place, &message);
                let hosts = &self.known.hosts;
                let count = hosts.tasks_of(&of.0, place);
                let still = wish.still(hosts.get(place)?, count);
                still.then(|| hosts.rank(place, count, of, image, self.now))
            };
            if !tree.place(put) {
                break;
            }
            placed = true;
            tasks.next();
        }
        if tasks.peek().is_none() {
            return;
        }
        if placed {
            (_, refusals) = self.candidates(of, &wish);
        }
        let why = refusals.explain().into();
        for task in tasks {
            self.explain(&task, &why);
        }
    }

    /// The nodes that fit, and how many do not.
    fn candidates(&self, of: &Wishers, wish: &Wish) -> (Tree, Refusals) {
        let hosts = &self.known.hosts;
        let image = hosts.image(&wish.image);
        let counts = hosts.counts(&of.0);
        let mut tree = Tree::new(wish.spread.len());
        let mut refusals = Refusals::default();
        for (place, host) in hosts.iter() {
            let count = counts.of(place);
            match wish.refuses(host, count) {
                Some(filter) => refusals.add(filter),
                None => {
                    let values = wish.spread.iter().map(|label| label.value(&host.node));
                    let rank = hosts.rank(place, count, of, image, self.now);
                    tree.add(rank, &values.collect::<Vec<_>>());
                }
            }
        }
        (tree, refusals)
    }

    fn assign(&mut self, task: &Task, wish: &Wish, place: usize, message: &Arc<str>) {
        let Some(host) = self.known.hosts.get(place) else {
            return;
        };
        let given = wish
            .reserved()
            .and_then(|reserved| host.room.choose(reserved));
        let mut task = task.clone();
        task.node = host.node.id.clone();
        task.generic = given.unwrap_or_default();
        task.meta.updated = self.now;
        task.status = TaskStatus {
            time: self.now,
            heard: self.now,
            state: TaskState::Assigned,
            message: message.clone(),
            ..TaskStatus::default()
        };
        let task = Arc::new(task);
        self.plan
            .changes
            .push(Change::Put(Object::Task(task.clone())));
        self.known.assigned(task, place);
    }

    /// A task's status says why it waits.
    fn explain(&mut self, task: &Task, why: &Arc<str>) {
        if task.status.error == *why {
            return;
        }
        let mut task = task.clone();
        task.status.error = why.clone();
        task.status.time = self.now;
        task.meta.updated = self.now;
        self.plan.changes.push(Change::put(task));
    }
}

#[cfg(test)]
mod tests;
