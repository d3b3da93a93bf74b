//! The keeper of nodes: who answers, and who does not.
//!
//! Heartbeats are not written to the store: they are told to a [`Pulse`], which the keeper looks at when it
//! has its turn. A node that is silent for three of its periods is down; one whose connection broke is so much
//! earlier, as nobody waits for a heartbeat of a machine that is known to be gone. A node that is down for a
//! day has its tasks given up. A new leader knows nobody, and gives every node time to come to it.
//!
//! A jump of the clock, or a manager that was stopped for a while, makes no node silent: whoever could not
//! listen gives everybody time anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Heard, Tables};
use swarm_api::session::Hello;
use swarm_api::{Change, Id, Node, Object, Task, Time};
use types::swarm::node::NodeState;
use types::swarm::task::TaskState;

use crate::plan::{Loop, Plan, Turn};

const SECOND: Time = 1_000_000_000;
/// How often a node says that it lives, where the cluster's wish does not say it.
pub const PERIOD: Time = 5 * SECOND;
/// So many periods a node may be silent.
pub const GRACE: Time = 3;
/// A node whose connection broke is back within this time, or it is lost.
pub const BACK_WITHIN: Time = 3 * SECOND / 2;
/// A node that is down for so long has its tasks given up.
pub const GIVEN_UP_AFTER: Time = 24 * 3600 * SECOND;

/// What the nodes' connections tell. Whoever tells something that is news gives the keeper a turn.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Mutex<Beats>>);

#[derive(Debug, Default)]
struct Beats {
    /// When each was heard last.
    last: BTreeMap<Id, Time>,
    /// When the connection of each broke.
    broken: BTreeMap<Id, Time>,
    /// What they said of themselves since the last turn.
    hello: BTreeMap<Id, Hello>,
    /// Those that the tables call ready, as far as the keeper saw.
    ready: BTreeSet<Id>,
    /// Those that the keeper is to look at.
    news: BTreeSet<Id>,
}

impl Pulse {
    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session of a node begins, or the node became another. Always news.
    pub fn hello(&self, node: &Id, hello: Hello, now: Time) {
        self.beat(node, now);
        let mut beats = self.beats();
        beats.hello.insert(node.clone(), hello);
        beats.news.insert(node.clone());
    }

    /// A node lives. Answers whether that is news.
    pub fn beat(&self, node: &Id, now: Time) -> bool {
        let mut beats = self.beats();
        if let Some(last) = beats.last.get_mut(node) {
            *last = now;
        } else {
            beats.last.insert(node.clone(), now);
        }
        beats.broken.remove(node);
        let news = !beats.ready.contains(node);
        if news {
            beats.news.insert(node.clone());
        }
        news
    }

    /// A node's connection broke: it is lost if it does not come back at once. Always news.
    pub fn lost(&self, node: &Id, now: Time) {
        let mut beats = self.beats();
        beats.broken.entry(node.clone()).or_insert(now);
        beats.news.insert(node.clone());
    }
}

/// Keeps the nodes' states.
#[derive(Debug)]
pub struct Keeper {
    pulse: Pulse,
    /// Nodes are given time from here on, if they were not heard.
    since: Option<Time>,
    /// The last turn, and when the next one was asked for.
    last: Time,
    asked: Option<Time>,
    /// Since when nodes are down.
    down: BTreeMap<Id, Time>,
    /// All are looked at then.
    scan: Time,
}

impl Keeper {
    /// One that hears the nodes by `pulse`, which should be as new as itself.
    #[must_use]
    pub fn new(pulse: Pulse) -> Self {
        Self {
            pulse,
            since: None,
            last: 0,
            asked: None,
            down: BTreeMap::new(),
            scan: Time::MIN,
        }
    }

    /// By how much the clock jumped since the last turn, or how long this manager was stopped.
    fn jump(&self, now: Time, period: Time) -> Time {
        if now < self.last {
            return now - self.last;
        }
        match self.asked {
            Some(asked) if now > asked + period => now - asked.max(self.last),
            _ => 0,
        }
    }

    /// Nobody was listened to for this long: everybody's time goes on from now.
    fn shift(&mut self, by: Time, now: Time) {
        let mut beats = self.pulse.beats();
        let beats = &mut *beats;
        for at in beats.last.values_mut().chain(beats.broken.values_mut()) {
            *at = now;
        }
        for at in self.down.values_mut() {
            *at = at.saturating_add(by).min(now);
        }
        self.since = Some(now);
        self.scan = now;
    }
}

fn period(tables: &Tables) -> Time {
    let wished = tables
        .cluster()
        .map_or(0, |c| c.spec.dispatcher.heartbeat_period);
    if wished > 0 { wished } else { PERIOD }
}

impl Loop for Keeper {
    fn name(&self) -> &'static str {
        "nodes"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan {
        let period = period(turn.tables);
        let first = self.since.is_none();
        if first {
            self.since = Some(turn.now);
        } else {
            let by = self.jump(turn.now, period);
            if by != 0 {
                self.shift(by, turn.now);
            }
        }
        let mut look = Look {
            keeper: self,
            turn_is_first: first,
            now: turn.now,
            grace: period.saturating_mul(GRACE),
            tables: turn.tables,
            plan: Plan::default(),
            next: Time::MAX,
        };
        look.all(turn.heard);
        let mut plan = look.plan;
        plan.wake_at(self.scan);
        self.last = turn.now;
        self.asked = plan.wake;
        plan
    }
}

/// One turn.
struct Look<'a> {
    keeper: &'a mut Keeper,
    turn_is_first: bool,
    now: Time,
    grace: Time,
    tables: &'a Tables,
    plan: Plan,
    /// When the next node is due.
    next: Time,
}

impl Look<'_> {
    fn all(&mut self, heard: &Heard) {
        let tables = self.tables;
        let mut ids: BTreeSet<_> = std::mem::take(&mut self.keeper.pulse.beats().news);
        let everybody = *heard == Heard::Everything || self.now >= self.keeper.scan;
        if everybody {
            ids.extend(tables.nodes().map(|n| n.id.clone()));
            // Those that are gone from the tables are to be forgotten.
            ids.extend(self.keeper.down.keys().cloned());
            ids.extend(self.keeper.pulse.beats().last.keys().cloned());
        } else {
            self.next = self.keeper.scan;
            if let Heard::Events(events) = heard {
                for event in events {
                    if let Some(Object::Node(node)) = event.new.as_ref().or(event.old.as_ref()) {
                        ids.insert(node.id.clone());
                    }
                }
            }
        }
        for id in ids {
            match tables.node(id.as_str()) {
                Some(node) => self.one(node),
                None => self.forget(&id),
            }
        }
        self.keeper.scan = self.next.min(self.now.saturating_add(self.grace));
    }

    fn forget(&mut self, id: &Id) {
        self.keeper.down.remove(id);
        let mut beats = self.keeper.pulse.beats();
        beats.last.remove(id);
        beats.broken.remove(id);
        beats.hello.remove(id);
        beats.ready.remove(id);
    }

    fn one(&mut self, node: &Arc<Node>) {
        let id = &node.id;
        let (last, broken, hello) = {
            let mut beats = self.keeper.pulse.beats();
            if node.state == NodeState::Ready {
                beats.ready.insert(id.clone());
            } else {
                beats.ready.remove(id);
            }
            let hello = beats.hello.get(id).cloned();
            (
                beats.last.get(id).copied(),
                beats.broken.get(id).copied(),
                hello,
            )
        };
        let since = self.keeper.since.unwrap_or(self.now);
        let silent_at = last.unwrap_or(since).max(since).saturating_add(self.grace);
        let due = broken.map_or(silent_at, |at| {
            silent_at.min(at.saturating_add(BACK_WITHIN))
        });
        let answers = last.is_some() && self.now < due;
        if node.state != NodeState::Down {
            self.keeper.down.remove(id);
        }
        let (state, message) = match node.state {
            _ if answers => (NodeState::Ready, ""),
            NodeState::Down => return self.is_down(node),
            NodeState::Unknown | NodeState::Disconnected if self.now < due => {
                self.next = self.next.min(due);
                return;
            }
            NodeState::Unknown => (
                NodeState::Down,
                "heartbeat failure for node in \"unknown\" state",
            ),
            NodeState::Ready if self.now < due => {
                if !self.turn_is_first {
                    self.next = self.next.min(due);
                    return;
                }
                let why = "Node moved to \"unknown\" state due to leadership change in cluster";
                (NodeState::Unknown, why)
            }
            NodeState::Ready | NodeState::Disconnected => (NodeState::Down, "heartbeat failure"),
        };
        if state != NodeState::Down {
            self.next = self.next.min(due);
        }
        self.put(node, state, message, hello);
    }

    /// Writes what is new of a node.
    fn put(&mut self, node: &Arc<Node>, state: NodeState, message: &str, hello: Option<Hello>) {
        let mut new = Node::clone(node);
        new.state = state;
        message.clone_into(&mut new.message);
        if let Some(hello) = hello {
            new.description = hello.description;
            new.devices = hello.devices;
            new.addr = hello.addr;
        }
        if new == **node {
            // It is written, and need not be remembered.
            self.keeper.pulse.beats().hello.remove(&node.id);
            return;
        }
        new.meta.updated = self.now;
        self.plan.changes.push(Change::put(new));
    }

    /// A node stays down: after a day its tasks are given up.
    fn is_down(&mut self, node: &Node) {
        let now = self.now;
        let since = *self.keeper.down.entry(node.id.clone()).or_insert(now);
        let due = since.saturating_add(GIVEN_UP_AFTER);
        if now < due {
            self.next = self.next.min(due);
            return;
        }
        let tasks = self.tables.tasks_of_node(node.id.as_str());
        let there = tasks.filter(|t| t.is_live() && t.status.state >= TaskState::Assigned);
        for task in there {
            let mut task = Task::clone(task);
            task.status.state = TaskState::Orphaned;
            task.status.message = "node was down for 24 hours".into();
            task.status.time = now;
            task.status.heard = now;
            task.meta.updated = now;
            self.plan.changes.push(Change::put(task));
        }
    }
}

#[cfg(test)]
mod tests;
