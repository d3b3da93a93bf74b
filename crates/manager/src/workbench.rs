//! What the loops' tests have in common: a store that one loop changes.

use std::sync::Arc;

use store::{Alone, Heard, Store, Tables, Watch};
use swarm_api::{Change, Id, Node, Object, Service, Task, TaskStatus, Time};
use types::swarm::node::{NodeDescription, NodeSpec, NodeState};
use types::swarm::service::ServiceSpec;
use types::swarm::task::{Placement, ResourceRequirements, Resources, TaskSpec, TaskState};

use crate::plan::{Loop, Plan, Random, Turn};

pub(crate) const SECOND: Time = 1_000_000_000;

/// A store, and a loop that works on it.
pub(crate) struct Bench<L> {
    pub(crate) store: Store,
    pub(crate) works: L,
    pub(crate) now: Time,
    watch: Watch,
    first: bool,
}

impl<L: Loop> Bench<L> {
    pub(crate) fn new(works: L, objects: impl IntoIterator<Item = Object>) -> Self {
        let store = Store::new(Tables::default(), Arc::new(Alone::default()));
        let (_, watch) = store.watch(|_| ());
        let bench = Self {
            store,
            works,
            now: SECOND,
            watch,
            first: true,
        };
        bench.put(objects);
        bench
    }

    /// Changes objects as somebody else would, whatever their versions are.
    pub(crate) fn put(&self, objects: impl IntoIterator<Item = Object>) {
        let changes: Vec<_> = objects.into_iter().map(Change::Put).collect();
        if !changes.is_empty() {
            let index = self.store.view().index() + 1;
            self.store.apply(index, &changes);
        }
    }

    /// One turn; its changes are not made.
    pub(crate) fn plan(&mut self) -> Plan {
        let view = self.store.view();
        let mut heard = self.watch.take();
        if std::mem::take(&mut self.first) {
            heard = Heard::Everything;
        }
        self.works.turn(&mut Turn {
            tables: &view,
            heard: &heard,
            now: self.now,
            random: &mut Random::new(1),
        })
    }

    /// Turns until nothing is to be done; how many changes that were.
    pub(crate) fn run(&mut self) -> usize {
        let mut made = 0;
        loop {
            let changes = self.plan().changes;
            if changes.is_empty() {
                return made;
            }
            made += changes.len();
            let index = self.store.view().index() + 1;
            self.store.apply(index, &changes);
        }
    }

    pub(crate) fn task(&self, id: &str) -> Task {
        Task::clone(self.store.view().task(id).expect("a task"))
    }

    pub(crate) fn node(&self, id: &str) -> Node {
        Node::clone(self.store.view().node(id).expect("a node"))
    }
}

/// A node that takes tasks.
pub(crate) fn node(id: &str, cpus: i64, labels: &[(&str, &str)]) -> Node {
    let labels = labels
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Node {
        id: id.into(),
        state: NodeState::Ready,
        spec: Arc::new(NodeSpec {
            labels: labels.collect(),
            ..NodeSpec::default()
        }),
        description: Arc::new(NodeDescription {
            resources: Resources {
                nano_cpus: cpus,
                memory_bytes: 100,
                generic_resources: Vec::new(),
            },
            ..NodeDescription::default()
        }),
        ..Node::default()
    }
}

pub(crate) fn reserving(cpus: i64) -> TaskSpec {
    TaskSpec {
        resources: Some(ResourceRequirements {
            reservations: Some(Resources {
                nano_cpus: cpus,
                ..Resources::default()
            }),
            limits: None,
        }),
        ..TaskSpec::default()
    }
}

pub(crate) fn placed(placement: Placement) -> TaskSpec {
    TaskSpec {
        placement: Some(placement),
        ..TaskSpec::default()
    }
}

pub(crate) fn service(id: &str, spec: ServiceSpec) -> Service {
    Service {
        id: id.into(),
        spec: Arc::new(ServiceSpec {
            name: id.into(),
            ..spec
        }),
        ..Service::default()
    }
}

pub(crate) fn task(
    id: &str,
    service: &str,
    slot: u64,
    state: TaskState,
    spec: &Arc<TaskSpec>,
) -> Task {
    Task {
        id: id.into(),
        service: service.into(),
        slot,
        spec: spec.clone(),
        desired: TaskState::Running,
        status: TaskStatus {
            state,
            ..TaskStatus::default()
        },
        ..Task::default()
    }
}

pub(crate) fn on(node: &str, task: Task) -> Task {
    Task {
        node: Id::from(node),
        ..task
    }
}
