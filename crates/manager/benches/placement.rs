//! How fast the managers' loops place tasks. Prints figures, asserts nothing:
//! `cargo bench -p manager --bench placement`, with `NODES` and `TASKS` from the environment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use manager::allocator::Allocator;
use manager::plan::{Loop, Random, Turn};
use manager::scheduler::Scheduler;
use store::{Alone, Heard, Store, Tables, Watch};
use swarm_api::{Change, Id, Node, Object, Service, Task, TaskStatus};
use types::swarm::node::{Availability, NodeDescription, NodeSpec, NodeState};
use types::swarm::service::ServiceSpec;
use types::swarm::task::{
    ContainerSpec, Placement, PlacementPreference, ResourceRequirements, Resources, Spread,
    TaskSpec, TaskState,
};

const SECOND: i64 = 1_000_000_000;

fn count(name: &str, default: usize) -> usize {
    let wished = std::env::var(name).ok().and_then(|n| n.parse().ok());
    wished.unwrap_or(default)
}

fn main() {
    let (nodes, tasks) = (count("NODES", 5_000), count("TASKS", 100_000));
    println!("{nodes} nodes, {tasks} tasks");
    for (name, services, spec) in [
        ("100 services, nothing asked", 100, TaskSpec::default()),
        (
            "100 services, resources, constraints, spread over racks",
            100,
            demanding(),
        ),
        ("a service a task, resources", tasks, reserving()),
    ] {
        let before = resident();
        let mut bench = Bench::new(nodes, tasks, services, &spec);
        let loaded = resident();
        let (allocated, planned) = bench.run();
        let unplaced = bench.store.view().tasks_of_node("").count();
        println!(
            "{name}: allocated in {:.2} s; placed in {:.2} s, of these {:.2} s in the scheduler ({unplaced} not); memory {} bytes a task, {} with the loops",
            allocated.as_secs_f64(),
            planned.0.as_secs_f64(),
            planned.1.as_secs_f64(),
            loaded.saturating_sub(before) / tasks as u64,
            resident().saturating_sub(before) / tasks as u64,
        );
        let (replaced, took) = bench.drain(100);
        println!(
            "  drain of 100 nodes: {replaced} tasks placed anew in {:.3} s",
            took.as_secs_f64()
        );
    }
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

fn reserving() -> TaskSpec {
    TaskSpec {
        container_spec: Some(ContainerSpec {
            image: "nginx:1.27@sha256:0".into(),
            ..ContainerSpec::default()
        }),
        resources: Some(ResourceRequirements {
            reservations: Some(Resources {
                nano_cpus: 100_000_000,
                memory_bytes: 64 << 20,
                ..Resources::default()
            }),
            limits: None,
        }),
        ..TaskSpec::default()
    }
}

fn demanding() -> TaskSpec {
    TaskSpec {
        placement: Some(Placement {
            constraints: vec!["node.role==worker".into(), "node.labels.disk!=hdd".into()],
            preferences: vec![PlacementPreference {
                spread: Some(Spread {
                    spread_descriptor: "node.labels.rack".into(),
                }),
            }],
            ..Placement::default()
        }),
        ..reserving()
    }
}

struct Bench {
    store: Store,
    scheduler: Scheduler,
    watch: Watch,
    random: Random,
}

impl Bench {
    fn new(nodes: usize, tasks: usize, services: usize, spec: &TaskSpec) -> Self {
        let mut random = Random::new(7);
        let mut objects: Vec<Object> = Vec::new();
        for n in 0..nodes {
            let mut labels = std::collections::BTreeMap::new();
            labels.insert("rack".to_owned(), format!("r{}", n % 100));
            labels.insert(
                "disk".to_owned(),
                if n % 10 == 0 { "hdd" } else { "ssd" }.to_owned(),
            );
            objects.push(
                Node {
                    id: random.id(),
                    state: NodeState::Ready,
                    spec: Arc::new(NodeSpec {
                        labels,
                        ..NodeSpec::default()
                    }),
                    description: Arc::new(NodeDescription {
                        hostname: format!("host{n}"),
                        resources: Resources {
                            nano_cpus: 32 * SECOND,
                            memory_bytes: 64 << 30,
                            ..Resources::default()
                        },
                        ..NodeDescription::default()
                    }),
                    ..Node::default()
                }
                .into(),
            );
        }
        for s in 0..services {
            let spec = ServiceSpec {
                name: format!("service{s}"),
                task_template: spec.clone(),
                ..ServiceSpec::default()
            };
            let service = Service {
                id: random.id(),
                spec: Arc::new(spec),
                ..Service::default()
            };
            let task_spec = Arc::new(service.spec.task_template.clone());
            for slot in 1..=tasks / services {
                objects.push(new_task(random.id(), &service.id, slot as u64, &task_spec).into());
            }
            objects.push(service.into());
        }
        let store = Store::new(Tables::from_objects(1, objects), Arc::new(Alone::default()));
        let (_, watch) = store.watch(|_| ());
        Self {
            store,
            scheduler: Scheduler::default(),
            watch,
            random,
        }
    }

    fn turn(&mut self, works: &mut dyn Loop, heard: &Heard) -> Vec<Change> {
        works
            .turn(&mut Turn {
                tables: &self.store.view(),
                heard,
                now: SECOND,
                random: &mut self.random,
            })
            .changes
    }

    fn apply(&self, changes: &[Change]) {
        let index = self.store.view().index() + 1;
        self.store.apply(index, changes);
    }

    /// From new tasks to tasks with a node; how long allocation and placement took, and of the latter the
    /// scheduler's part.
    fn run(&mut self) -> (Duration, (Duration, Duration)) {
        let start = Instant::now();
        let changes = self.turn(&mut Allocator::default(), &Heard::Everything);
        self.apply(&changes);
        drop(changes);
        let allocated = start.elapsed();
        let _ = self.watch.take();
        let start = Instant::now();
        let mut scheduler = std::mem::take(&mut self.scheduler);
        let mut planned = Duration::ZERO;
        let mut heard = Heard::Everything;
        loop {
            let turn = Instant::now();
            let changes = self.turn(&mut scheduler, &heard);
            planned += turn.elapsed();
            if changes.is_empty() {
                break;
            }
            self.apply(&changes);
            heard = self.watch.take();
        }
        self.scheduler = scheduler;
        (allocated, (start.elapsed(), planned))
    }

    /// Nodes are emptied at once, and new tasks are made for theirs; how long the scheduler took.
    fn drain(&mut self, count: usize) -> (usize, Duration) {
        let mut changes = Vec::new();
        let mut replaced = 0;
        {
            let view = self.store.view();
            for node in view.nodes().take(count) {
                let mut drained = Node::clone(node);
                let spec = Arc::make_mut(&mut drained.spec);
                spec.availability = Availability::Drain;
                changes.push(Change::put(drained));
                for task in view.tasks_of_node(node.id.as_str()) {
                    let mut old = Task::clone(task);
                    old.desired = TaskState::Shutdown;
                    let mut new = new_task(self.random.id(), &task.service, task.slot, &task.spec);
                    new.status.state = TaskState::Pending;
                    changes.push(Change::put(old));
                    changes.push(Change::put(new));
                    replaced += 1;
                }
            }
        }
        self.apply(&changes);
        let heard = self.watch.take();
        let mut scheduler = std::mem::take(&mut self.scheduler);
        let start = Instant::now();
        let placed = self.turn(&mut scheduler, &heard).len();
        let took = start.elapsed();
        assert!(placed <= replaced);
        self.scheduler = scheduler;
        (placed, took)
    }
}

fn new_task(id: Id, service: &Id, slot: u64, spec: &Arc<TaskSpec>) -> Task {
    Task {
        id,
        service: service.clone(),
        slot,
        spec: spec.clone(),
        desired: TaskState::Running,
        status: TaskStatus::default(),
        ..Task::default()
    }
}
