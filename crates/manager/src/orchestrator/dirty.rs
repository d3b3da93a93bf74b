//! Which services a turn looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use store::{Event, Heard, Tables};
use swarm_api::{Id, Node, Object, Service, Task, Time};

use crate::plan::{Plan, Turn};

/// All services are looked at so often: what was missed is found then.
pub(crate) const FULL: Time = 60_000_000_000;

/// Services that something happened to, or whose time has come.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    wakes: BTreeMap<Id, Time>,
    full: Option<Time>,
}

/// What a turn looks at.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// These services; they may be gone.
    pub(crate) services: BTreeSet<Id>,
    /// Something happened to nodes: services that are on each node look, too.
    pub(crate) nodes: bool,
}

impl Dirty {
    /// One turn of a loop that keeps services. Those that are its own, and that something happened to, are
    /// made right by `reconcile`, which answers when it wants to look again; where something happened to
    /// nodes, so are all that are on each node.
    pub(crate) fn turn(
        &mut self,
        turn: &mut Turn<'_>,
        is_mine: impl Fn(&Service) -> bool,
        reconcile: impl Fn(&Arc<Service>, &mut Turn<'_>, &mut Plan) -> Option<Time>,
    ) -> Plan {
        let mut plan = Plan::default();
        let mut look = self.look(turn);
        if look.nodes {
            let all = turn.tables.services();
            let everywhere = all.filter(|s| s.is_global() && is_mine(s));
            look.services.extend(everywhere.map(|s| s.id.clone()));
        }
        for id in look.services {
            let service = turn.tables.service(id.as_str()).filter(|s| is_mine(s));
            let wake = service.and_then(|service| reconcile(service, turn, &mut plan));
            self.wake(&id, wake);
        }
        self.finish(&mut plan);
        plan
    }

    /// What this turn looks at.
    pub(crate) fn look(&mut self, turn: &Turn<'_>) -> Look {
        let due = match self.full {
            // Later than that, and the clock went back.
            Some(full) => turn.now >= full || full - turn.now > FULL,
            None => true,
        };
        let events = match turn.heard {
            Heard::Events(events) if !due => events,
            _ => return self.everything(turn),
        };
        let mut look = Look::default();
        for event in events {
            look.hear(event, turn.tables);
        }
        let now = turn.now;
        let due = self.wakes.extract_if(.., |_, wake| *wake <= now);
        look.services.extend(due.map(|(id, _)| id));
        look
    }

    fn everything(&mut self, turn: &Turn<'_>) -> Look {
        self.full = Some(turn.now + FULL);
        self.wakes.clear();
        let mut services: BTreeSet<Id> = turn.tables.services().map(|s| s.id.clone()).collect();
        let of_tasks = turn.tables.tasks().map(|t| &t.service);
        for id in of_tasks {
            if !services.contains(id) {
                services.insert(id.clone());
            }
        }
        Look {
            services,
            nodes: true,
        }
    }

    /// Has a service looked at again at this time at the latest.
    pub(crate) fn wake(&mut self, id: &Id, time: Option<Time>) {
        match time {
            Some(time) => self.wakes.insert(id.clone(), time),
            None => self.wakes.remove(id),
        };
    }

    /// When the loop wants its next turn.
    pub(crate) fn finish(&self, plan: &mut Plan) {
        let wakes = self.wakes.values().copied().chain(self.full);
        if let Some(first) = wakes.min() {
            plan.wake_at(first);
        }
    }
}

impl Look {
    fn hear(&mut self, event: &Event, tables: &Tables) {
        match (&event.old, &event.new) {
            (Some(Object::Task(old)), Some(Object::Task(new))) => {
                if tells(old, new) {
                    self.services.insert(new.service.clone());
                }
            }
            (Some(Object::Node(old)), Some(Object::Node(new))) => {
                if differs(old, new) {
                    self.node(&new.id, tables);
                }
            }
            (old, new) => match new.as_ref().or(old.as_ref()) {
                Some(Object::Task(task)) => drop(self.services.insert(task.service.clone())),
                Some(Object::Service(service)) => drop(self.services.insert(service.id.clone())),
                Some(Object::Node(node)) => self.node(&node.id, tables),
                _ => {}
            },
        }
    }

    fn node(&mut self, id: &Id, tables: &Tables) {
        self.nodes = true;
        let here = tables.tasks_of_node(id.as_str());
        self.services.extend(here.map(|t| t.service.clone()));
    }
}

/// Whether a task's change is one that orchestrators ask for.
fn tells(old: &Task, new: &Task) -> bool {
    old.status.state != new.status.state || old.desired != new.desired || old.node != new.node
}

fn differs(old: &Node, new: &Node) -> bool {
    old.state != new.state
        || old.role != new.role
        || old.addr != new.addr
        || old.spec != new.spec
        || old.description != new.description
}

#[cfg(test)]
mod tests {
    use swarm_api::{Key, Kind, Service, TaskStatus};
    use types::swarm::node::NodeState;
    use types::swarm::task::TaskState;

    use super::*;
    use crate::plan::Random;

    /// Three services with a task each, on a node each.
    fn tables() -> Tables {
        let service = |n| Service {
            id: format!("s{n}").into(),
            ..Service::default()
        };
        let node = |n| Node {
            id: format!("n{n}").into(),
            ..Node::default()
        };
        let objects = (1..=3).flat_map(|n| [service(n).into(), node(n).into(), task(n).into()]);
        Tables::from_objects(1, objects)
    }

    fn task(n: usize) -> Task {
        Task {
            id: format!("t{n}").into(),
            service: format!("s{n}").into(),
            node: format!("n{n}").into(),
            ..Task::default()
        }
    }

    fn change(tables: &Tables, kind: Kind, id: &str, new: impl Into<Object>) -> Event {
        let id = id.into();
        Event {
            old: tables.get(&Key { kind, id }),
            new: Some(new.into()),
        }
    }

    fn look(dirty: &mut Dirty, heard: Heard, now: Time) -> String {
        let look = dirty.look(&Turn {
            tables: &tables(),
            heard: &heard,
            now,
            random: &mut Random::new(0),
        });
        look.services.iter().map(|id| id.as_str()).collect()
    }

    #[test]
    fn only_what_something_happened_to_is_looked_at() {
        let tables = tables();
        let dirty = &mut Dirty::default();
        let events = |events: &[Event]| Heard::Events(events.to_vec());
        assert_eq!(look(dirty, events(&[]), 0), "s1s2s3");
        assert_eq!(look(dirty, events(&[]), 1), "");

        let mut ended = task(2);
        ended.status.message = "still running".into();
        let event = change(&tables, Kind::Task, "t2", ended.clone());
        assert_eq!(look(dirty, events(&[event]), 1), "");
        ended.status = TaskStatus {
            state: TaskState::Failed,
            ..TaskStatus::default()
        };
        let event = change(&tables, Kind::Task, "t2", ended);
        assert_eq!(look(dirty, events(&[event]), 1), "s2");

        let mut node = Node::clone(tables.node("n3").unwrap());
        let event = change(&tables, Kind::Node, "n3", node.clone());
        assert_eq!(look(dirty, events(&[event]), 1), "");
        node.state = NodeState::Down;
        let event = change(&tables, Kind::Node, "n3", node);
        assert_eq!(look(dirty, events(&[event]), 1), "s3");

        let service = Service::clone(tables.service("s1").unwrap());
        let gone = Event {
            old: Some(service.into()),
            new: None,
        };
        assert_eq!(look(dirty, events(&[gone]), 1), "s1");
    }

    #[test]
    fn time_has_services_looked_at_and_now_and_then_all() {
        let dirty = &mut Dirty::default();
        let nothing = || Heard::Events(Vec::new());
        look(dirty, Heard::Everything, 0);
        dirty.wake(&"s1".into(), Some(10));
        dirty.wake(&"s2".into(), Some(20));
        dirty.wake(&"s3".into(), Some(10));
        dirty.wake(&"s3".into(), None);
        let mut plan = Plan::default();
        dirty.finish(&mut plan);
        assert_eq!(plan.wake, Some(10));
        assert_eq!(look(dirty, nothing(), 9), "");
        assert_eq!(look(dirty, nothing(), 10), "s1");
        assert_eq!(look(dirty, nothing(), 30), "s2");
        assert_eq!(look(dirty, nothing(), FULL), "s1s2s3");
        // The clock went back.
        assert_eq!(look(dirty, nothing(), FULL - 1), "s1s2s3");
    }
}
