//! A small cluster for tests of loops: a store that nobody keeps, a clock that is set, a scheduler that
//! takes the emptiest node, and agents that do as they are told.

use std::sync::Arc;

use store::{Alone, Heard, Store, Tables, Watch};
use swarm_api::{Change, Cluster, Id, Node, Object, Service, Task, TaskStatus, Time};
use types::swarm::node::{Availability, NodeSpec, NodeState};
use types::swarm::service::{Replicated, ServiceMode, ServiceSpec};
use types::swarm::task::{ContainerSpec, TaskState};

use crate::constraint;
use crate::plan::{Loop, Random, Turn};

pub(crate) const SECOND: i64 = 1_000_000_000;

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) now: Time,
    random: Random,
    loops: Vec<Runner>,
    make: fn() -> Vec<Box<dyn Loop>>,
    /// Tasks that are told to stop do not, for now.
    pub(crate) holds_stops: bool,
    /// Whether tasks of an image start, and what becomes of them where not.
    pub(crate) starts: fn(image: &str) -> TaskState,
    /// Nodes report between a loop's turn and its commit, so that changes are refused.
    pub(crate) races: bool,
    /// Called after each commit.
    pub(crate) check: fn(&Tables),
}

struct Runner {
    it: Box<dyn Loop>,
    watch: Watch,
    wake: Option<Time>,
}

/// What a task of an image comes to by itself: those of `bad…` are rejected, of `crash…` fail as they
/// start, of `slow…` go on starting.
fn starts(image: &str) -> TaskState {
    match image {
        i if i.starts_with("bad") => TaskState::Rejected,
        i if i.starts_with("crash") => TaskState::Failed,
        i if i.starts_with("slow") => TaskState::Starting,
        _ => TaskState::Running,
    }
}

/// Waits for what never waits: nobody else uses the store.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the store waits"),
    }
}

impl World {
    /// A cluster with these loops and so many nodes, `n1`, `n2`, …
    pub(crate) fn new(make: fn() -> Vec<Box<dyn Loop>>, nodes: usize) -> Self {
        let store = Store::new(Tables::default(), Arc::new(Alone::default()));
        let mut world = Self {
            store,
            now: 1_000_000 * SECOND,
            random: Random::new(7),
            loops: Vec::new(),
            make,
            holds_stops: false,
            starts,
            races: false,
            check: |_| {},
        };
        world.new_leader();
        world.put(Cluster {
            id: "cluster".into(),
            ..Cluster::default()
        });
        for n in 1..=nodes {
            world.put(Node {
                id: format!("n{n}").into(),
                state: NodeState::Ready,
                ..Node::default()
            });
        }
        world
    }

    /// Another manager leads: its loops know nothing.
    pub(crate) fn new_leader(&mut self) {
        let loops = (self.make)().into_iter();
        self.loops = loops
            .map(|it| Runner {
                it,
                watch: self.store.watch(|_| ()).1,
                wake: Some(0),
            })
            .collect();
    }

    pub(crate) fn put(&self, object: impl Into<Object>) {
        ready(self.store.commit(vec![Change::put(object)])).unwrap();
        (self.check)(&self.store.view());
    }

    pub(crate) fn remove(&self, object: &Object) {
        ready(self.store.commit(vec![Change::remove(object)])).unwrap();
    }

    /// Makes a service of these parts.
    pub(crate) fn serve(&self, name: &str, spec: ServiceSpec) -> Id {
        let id = Id::from(name);
        self.put(Service {
            id: id.clone(),
            spec: Arc::new(ServiceSpec {
                name: name.to_owned(),
                ..spec
            }),
            ..Service::default()
        });
        id
    }

    pub(crate) fn service(&self, id: &str) -> Service {
        Service::clone(self.store.view().service(id).unwrap())
    }

    /// Changes what is wished of a service.
    pub(crate) fn wish(&self, id: &str, change: impl FnOnce(&mut ServiceSpec)) {
        let mut service = self.service(id);
        let mut spec = ServiceSpec::clone(&service.spec);
        change(&mut spec);
        service.wish(Arc::new(spec), self.now);
        self.put(service);
    }

    pub(crate) fn node(&self, id: &str, change: impl FnOnce(&mut Node, &mut NodeSpec)) {
        let mut node = Node::clone(self.store.view().node(id).unwrap());
        let mut spec = NodeSpec::clone(&node.spec);
        change(&mut node, &mut spec);
        node.spec = Arc::new(spec);
        self.put(node);
    }

    pub(crate) fn state(&self, id: &str, state: NodeState) {
        self.node(id, |node, _| node.state = state);
    }

    pub(crate) fn availability(&self, id: &str, availability: Availability) {
        self.node(id, |_, spec| spec.availability = availability);
    }

    pub(crate) fn tasks(&self, service: &str) -> Vec<Task> {
        let view = self.store.view();
        let tasks = view.tasks_of_service(service).map(|t| Task::clone(t));
        let mut tasks: Vec<_> = tasks.collect();
        tasks.sort_by_key(|t| {
            let node = (t.slot == 0).then(|| t.node.clone());
            (t.slot, node, t.past.as_ref().map_or(0, |p| p.before))
        });
        tasks
    }

    /// The tasks that run and are to.
    pub(crate) fn running(&self, service: &str) -> Vec<Task> {
        let mut tasks = self.tasks(service);
        tasks.retain(|t| t.is_wanted() && t.status.state == TaskState::Running);
        tasks
    }

    /// The running task of a slot.
    pub(crate) fn at(&self, service: &str, slot: u64) -> Task {
        let mut tasks = self.running(service);
        tasks.retain(|t| t.slot == slot);
        assert_eq!(tasks.len(), 1, "slot {slot}");
        tasks.remove(0)
    }

    /// Has a node report of a task.
    pub(crate) fn report(&self, task: &Task, state: TaskState) {
        let Some(mut task) = self
            .store
            .view()
            .task(task.id.as_str())
            .map(|t| Task::clone(t))
        else {
            return;
        };
        let status = TaskStatus {
            time: self.now,
            state,
            ..TaskStatus::default()
        };
        if task.report(status, self.now) {
            self.put(task);
        }
    }

    /// Runs loops and agents until nothing happens any more, and sees that nothing would.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1_000 {
            let loops = self.loops();
            let nodes = self.nodes();
            if !loops && !nodes {
                self.stays();
                return;
            }
        }
        let view = self.store.view();
        let tasks = view
            .tasks()
            .map(|t| (&t.id, t.slot, t.status.state, t.desired, &t.past));
        panic!("no quiet: {:#?}", tasks.take(10).collect::<Vec<_>>());
    }

    /// One turn of each loop that has something to look at. Answers whether anything changed.
    pub(crate) fn loops(&mut self) -> bool {
        let mut changed = false;
        let mut loops = std::mem::take(&mut self.loops);
        for runner in &mut loops {
            let heard = runner.watch.take();
            let due = runner.wake.is_none_or(|wake| wake <= self.now);
            if heard == Heard::Events(Vec::new()) && !due {
                continue;
            }
            let plan = runner.it.turn(&mut Turn {
                tables: &self.store.view(),
                heard: &heard,
                now: self.now,
                random: &mut self.random,
            });
            runner.wake = plan.wake;
            changed |= !plan.changes.is_empty();
            if self.races {
                self.nodes();
            }
            let refused = ready(self.store.commit_each(plan.changes)).unwrap();
            assert!(self.races || refused.is_empty(), "{refused:?}");
            (self.check)(&self.store.view());
        }
        self.loops = loops;
        changed
    }

    /// Loops have nothing to change where nothing is new, neither these nor those of another manager.
    fn stays(&mut self) {
        for mut it in (self.make)() {
            let plan = it.turn(&mut Turn {
                tables: &self.store.view(),
                heard: &Heard::Everything,
                now: self.now,
                random: &mut self.random,
            });
            assert_eq!(plan.changes, [], "{} is not done", it.name());
        }
    }

    /// Sets the clock, which whoever runs the loops notices.
    pub(crate) fn jump(&mut self, time: i64) {
        self.now += time;
        for runner in &mut self.loops {
            runner.wake = Some(self.now);
        }
    }

    /// Lets time pass, with turns where loops want them.
    pub(crate) fn pass(&mut self, time: i64) {
        let end = self.now + time;
        self.settle();
        while let Some(wake) = self.loops.iter().filter_map(|r| r.wake).min() {
            if wake > end {
                break;
            }
            self.now = self.now.max(wake);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// What the scheduler and the nodes do in a moment. Answers whether anything changed.
    pub(crate) fn nodes(&self) -> bool {
        let tasks: Vec<_> = self.store.view().tasks().cloned().collect();
        let mut changed = false;
        for task in tasks.iter().filter(|t| t.is_live()) {
            changed |= self.step(task);
        }
        changed
    }

    /// The next thing that happens to a task.
    pub(crate) fn step(&self, task: &Arc<Task>) -> bool {
        if task.status.state < TaskState::Assigned {
            return task.is_wanted() && self.schedule(task);
        }
        let view = self.store.view();
        let node = view.node(task.node.as_str());
        if node.is_none_or(|n| n.state != NodeState::Ready) {
            return false;
        }
        drop(view);
        let container = task.spec.container_spec.as_ref();
        let comes_to = (self.starts)(container.map_or("", |c| &c.image));
        let state = match task.desired {
            TaskState::Shutdown | TaskState::Remove if self.holds_stops => return false,
            TaskState::Shutdown | TaskState::Remove => TaskState::Shutdown,
            _ if task.status.state == TaskState::Running => return false,
            _ if comes_to == TaskState::Rejected => comes_to,
            TaskState::Ready => TaskState::Ready,
            _ if task.status.state < TaskState::Starting => TaskState::Starting,
            _ => comes_to,
        };
        let changes = state > task.status.state;
        if changes {
            self.report(task, state);
        }
        changes
    }

    fn schedule(&self, task: &Arc<Task>) -> bool {
        let view = self.store.view();
        let placement = task.spec.placement.as_ref();
        let constraints = placement.map_or(&[][..], |p| &p.constraints);
        let constraints = constraint::parse(constraints).unwrap();
        let load = |node: &Node| {
            let tasks = view.tasks_of_node(node.id.as_str());
            tasks.filter(|t| t.is_wanted()).count()
        };
        let node = view
            .nodes()
            .filter(|n| n.state == NodeState::Ready)
            .filter(|n| n.spec.availability == Availability::Active)
            .filter(|n| constraint::fits(&constraints, n))
            .filter(|n| task.node.is_empty() || task.node == n.id)
            .min_by_key(|n| load(n));
        let Some(node) = node else { return false };
        let mut task = Task::clone(task);
        task.node = node.id.clone();
        drop(view);
        let status = TaskStatus {
            state: TaskState::Assigned,
            ..TaskStatus::default()
        };
        task.report(status, self.now);
        self.put(task);
        true
    }
}

/// A replicated service's wish.
pub(crate) fn replicated(image: &str, replicas: u64) -> ServiceSpec {
    let mut spec = ServiceSpec {
        mode: ServiceMode {
            replicated: Some(Replicated {
                replicas: Some(replicas),
            }),
            ..ServiceMode::default()
        },
        ..ServiceSpec::default()
    };
    set_image(&mut spec, image);
    spec
}

pub(crate) fn set_image(spec: &mut ServiceSpec, image: &str) {
    let container = &mut spec.task_template.container_spec;
    container.get_or_insert_with(ContainerSpec::default).image = image.to_owned();
}

pub(crate) fn image(task: &Task) -> &str {
    let container = task.spec.container_spec.as_ref();
    container.map_or("", |c| &c.image)
}

pub(crate) fn scale(spec: &mut ServiceSpec, replicas: u64) {
    spec.mode.replicated = Some(Replicated {
        replicas: Some(replicas),
    });
}
