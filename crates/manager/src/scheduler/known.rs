//! What the scheduler remembers from one turn to the next: nodes, what is counted on them, and who waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use store::{Event, Heard, Tables};
use swarm_api::{Id, Object, Task, Time};
use types::swarm::task::TaskState;

use super::hosts::Hosts;

/// Tasks of one service, made by one version of its wish: they want the same.
pub(super) type Wishers = (Id, u64);

/// What is remembered. All of it follows from the tables.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) hosts: Hosts,
    tasks: HashMap<Id, Seen>,
    /// Those that wait for any node.
    pub(super) groups: BTreeMap<Wishers, Group>,
    /// Those that wait for the node that they have, as global services give it.
    pub(super) fixed: BTreeMap<Id, BTreeSet<Id>>,
    /// Places where more fits than at the last turn, or something else.
    pub(super) changed: BTreeSet<usize>,
    /// Tasks that were given a node, and the tables do not say so yet.
    unconfirmed: Vec<Id>,
}

/// A task that waits or is counted.
#[derive(Debug)]
struct Seen {
    task: Arc<Task>,
    part: Part,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Waits,
    Fixed,
    /// In that place, if its node is there.
    Counts(Option<usize>),
}

/// Tasks that want the same.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// By their place in the service.
    pub(super) tasks: BTreeSet<(u64, Id)>,
    /// There are some that were not tried.
    pub(super) fresh: bool,
    /// Nodes changed since their explanation was made.
    pub(super) stale: bool,
    /// When they were tried last.
    pub(super) tried: Time,
}

/// What a task is to the scheduler.
fn part_of(task: &Task) -> Option<Part> {
    let state = task.status.state;
    if state.is_over() || state < TaskState::Pending {
        return None;
    }
    if state > TaskState::Pending {
        return Some(Part::Counts(None));
    }
    if !task.is_wanted() {
        return None;
    }
    Some(if task.node.is_empty() {
        Part::Waits
    } else {
        Part::Fixed
    })
}

fn wishers(task: &Task) -> Wishers {
    (task.service.clone(), task.spec_version)
}

/// Whether a task takes the same part of a node as before.
fn same_part(old: &Task, new: &Task) -> bool {
    old.node == new.node
        && old.is_wanted() == new.is_wanted()
        && old.generic == new.generic
        && old.ports == new.ports
        && old.spec_version == new.spec_version
}

impl Known {
    /// Follows what happened. What is in the tables counts, not what an event says: they may be ahead.
    pub(super) fn hear(&mut self, tables: &Tables, heard: &Heard, now: Time) {
        let unconfirmed = std::mem::take(&mut self.unconfirmed);
        match heard {
            Heard::Everything => {
                *self = Self::default();
                for node in tables.nodes() {
                    let (place, _) = self.hosts.put(node);
                    self.changed.insert(place);
                }
                for task in tables.tasks() {
                    self.set(&task.id, Some(task), now);
                }
            }
            Heard::Events(events) => {
                for id in unconfirmed {
                    self.set(&id, tables.task(id.as_str()), now);
                }
                for event in events {
                    self.hear_one(tables, event, now);
                }
            }
        }
    }

    fn hear_one(&mut self, tables: &Tables, event: &Event, now: Time) {
        let Some(object) = event.new.as_ref().or(event.old.as_ref()) else {
            return;
        };
        match object {
            Object::Task(task) => self.set(&task.id, tables.task(task.id.as_str()), now),
            Object::Node(node) => self.set_node(tables, &node.id, now),
            _ => {}
        }
    }

    fn set_node(&mut self, tables: &Tables, id: &Id, now: Time) {
        let Some(node) = tables.node(id.as_str()) else {
            let Some(place) = self.hosts.place_of(id.as_str()) else {
                return;
            };
            let there = |seen: &&mut Seen| seen.part == Part::Counts(Some(place));
            for seen in self.tasks.values_mut().filter(there) {
                self.hosts.uncount(place, &seen.task);
                seen.part = Part::Counts(None);
            }
            self.hosts.remove(id.as_str());
            self.changed.remove(&place);
            return;
        };
        let before = self.hosts.place_of(id.as_str());
        let before = before.and_then(|place| self.hosts.get(place));
        let resized =
            before.is_some_and(|h| h.node.description.resources != node.description.resources);
        let (place, new) = self.hosts.put(node);
        self.changed.insert(place);
        self.hosts.forget_failures(place, now);
        if new {
            for task in tables.tasks_of_node(id.as_str()) {
                self.forget(&task.id);
                self.set(&task.id, Some(task), now);
            }
        } else if resized {
            let counted = tables.tasks_of_node(id.as_str());
            let counted = counted.filter_map(|task| self.tasks.get(&task.id));
            let counted = counted.filter(|seen| seen.part == Part::Counts(Some(place)));
            self.hosts.recount(place, counted.map(|seen| &*seen.task));
        }
    }

    /// A task is now so, or gone.
    fn set(&mut self, id: &Id, now_is: Option<&Arc<Task>>, now: Time) {
        let Some(task) = now_is else {
            self.forget(id);
            return;
        };
        let part = part_of(task);
        if let (Some(seen), Some(part)) = (self.tasks.get_mut(id), &part) {
            let same = match (&seen.part, part) {
                (Part::Waits, Part::Waits) => wishers(&seen.task) == wishers(task),
                (Part::Fixed, Part::Fixed) => seen.task.node == task.node,
                (Part::Counts(_), Part::Counts(_)) => same_part(&seen.task, task),
                _ => false,
            };
            if same {
                seen.task = task.clone();
                self.learn(task, now);
                return;
            }
        }
        self.forget(id);
        self.learn(task, now);
        let part = match part {
            None => return,
            Some(Part::Counts(_)) => {
                let place = self.hosts.place_of(task.node.as_str());
                if let Some(place) = place {
                    self.hosts.count(place, task);
                }
                Part::Counts(place)
            }
            Some(Part::Waits) => {
                let group = self.groups.entry(wishers(task)).or_default();
                group.tasks.insert((task.slot, id.clone()));
                group.fresh = true;
                Part::Waits
            }
            Some(Part::Fixed) => {
                let of_node = self.fixed.entry(task.node.clone()).or_default();
                of_node.insert(id.clone());
                if let Some(place) = self.hosts.place_of(task.node.as_str()) {
                    self.changed.insert(place);
                }
                Part::Fixed
            }
        };
        let task = task.clone();
        self.tasks.insert(id.clone(), Seen { task, part });
    }

    /// A task neither waits nor counts any more.
    fn forget(&mut self, id: &Id) {
        let Some(seen) = self.tasks.remove(id) else {
            return;
        };
        match seen.part {
            Part::Waits => {
                let of = wishers(&seen.task);
                if let Some(group) = self.groups.get_mut(&of) {
                    group.tasks.remove(&(seen.task.slot, id.clone()));
                    if group.tasks.is_empty() {
                        self.groups.remove(&of);
                    }
                }
            }
            Part::Fixed => {
                if let Some(ids) = self.fixed.get_mut(&seen.task.node) {
                    ids.remove(id);
                    if ids.is_empty() {
                        self.fixed.remove(&seen.task.node);
                    }
                }
            }
            Part::Counts(place) => {
                if let Some(place) = place {
                    self.hosts.uncount(place, &seen.task);
                    self.changed.insert(place);
                }
            }
        }
    }

    /// What a task's state tells of its node.
    fn learn(&mut self, task: &Task, now: Time) {
        let Some(place) = self.hosts.place_of(task.node.as_str()) else {
            return;
        };
        match task.status.state {
            TaskState::Failed | TaskState::Rejected => {
                self.hosts.saw_failure(place, task);
                self.hosts.forget_failures(place, now);
            }
            TaskState::Ready | TaskState::Starting | TaskState::Running | TaskState::Complete => {
                self.hosts.saw_image(place, task);
            }
            _ => {}
        }
    }

    /// A task that waits or counts.
    pub(super) fn task(&self, id: &Id) -> Option<&Arc<Task>> {
        self.tasks.get(id).map(|seen| &seen.task)
    }

    /// A task was given a place, in a plan that is still to be made: it counts there until the tables say
    /// otherwise.
    pub(super) fn assigned(&mut self, task: Arc<Task>, place: usize) {
        self.forget(&task.id);
        self.hosts.count(place, &task);
        self.unconfirmed.push(task.id.clone());
        let part = Part::Counts(Some(place));
        self.tasks.insert(task.id.clone(), Seen { task, part });
    }
}

#[cfg(test)]
impl Known {
    /// What is remembered, in an order.
    pub(super) fn summary(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .hosts
            .iter()
            .map(|(_, host)| format!("{:?}", host.summary()))
            .collect();
        let waits = self
            .groups
            .iter()
            .map(|(of, group)| format!("{of:?} {:?}", group.tasks));
        lines.extend(waits);
        lines.extend(self.fixed.iter().map(|fixed| format!("{fixed:?}")));
        let mut tasks: Vec<_> = self
            .tasks
            .values()
            .map(|seen| {
                let counts = match seen.part {
                    Part::Counts(place) => place.is_some().to_string(),
                    ref other => format!("{other:?}"),
                };
                format!("{} {counts}", seen.task.id)
            })
            .collect();
        lines.append(&mut tasks);
        lines.sort();
        lines
    }
}
