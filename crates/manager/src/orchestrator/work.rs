//! One service in one turn: what is wished of its tasks, and the changes so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use store::Tables;
use swarm_api::{Change, Id, Meta, Past, Service, Task, TaskStatus, Time};
use types::swarm::service::PortConfig;
use types::swarm::task::{TaskSpec, TaskState};

use super::slot::{Place, Slot};
use crate::constraint::{self, Constraint};
use crate::plan::Random;

/// One service in one turn.
pub(crate) struct Work<'a, 'r> {
    pub(crate) tables: &'a Tables,
    pub(crate) now: Time,
    pub(crate) service: &'a Arc<Service>,
    /// Where its tasks may be.
    pub(crate) constraints: Vec<Constraint>,
    /// How far its tasks are to come.
    pub(crate) goal: TaskState,
    /// The changes so far.
    pub(crate) changes: Vec<Change>,
    /// When it is to be looked at again.
    pub(crate) wake: Option<Time>,
    random: &'r mut Random,
    /// What new tasks share with those that there are.
    shared: Shared,
    /// Tasks that run something else than is wished.
    dirty: BTreeSet<Id>,
    /// Tasks that were told something, and which change that is.
    told: BTreeMap<Id, usize>,
}

struct Shared {
    spec: Arc<TaskSpec>,
    name: Arc<str>,
    labels: Arc<BTreeMap<String, String>>,
    ports: Arc<[PortConfig]>,
}

impl<'a, 'r> Work<'a, 'r> {
    /// A look at a service.
    pub(crate) fn new(
        service: &'a Arc<Service>,
        tables: &'a Tables,
        now: Time,
        random: &'r mut Random,
    ) -> Self {
        let (shared, dirty) = compare(service, tables);
        let goal = if service.is_job() {
            TaskState::Complete
        } else {
            TaskState::Running
        };
        Self {
            tables,
            now,
            service,
            // They were read when they were wished.
            constraints: read_constraints(&service.spec.task_template),
            goal,
            changes: Vec::new(),
            wake: None,
            random,
            shared,
            dirty,
            told: BTreeMap::new(),
        }
    }

    /// Whether a task runs something else than is wished.
    pub(crate) fn is_dirty(&self, task: &Task) -> bool {
        self.dirty.contains(&task.id)
    }

    /// Whether it was made by the very wish that there is.
    pub(crate) fn is_of_this_wish(&self, task: &Task) -> bool {
        task.spec_version == self.service.spec_version
    }

    /// Tells a task how it should be. This is the one place where running tasks are taken away; the
    /// node that runs one sees the change of its wish and does it in two steps: first no new traffic
    /// comes to it, then its container gets the stop signal.
    pub(crate) fn tell(&mut self, task: &Arc<Task>, desired: TaskState) {
        let mut next = Task::clone(task);
        next.desired = desired;
        next.meta.updated = self.now;
        let change = Change::put(next);
        // What is told last counts.
        match self.told.get(&task.id) {
            Some(at) => self.changes[*at] = change,
            None => {
                self.told.insert(task.id.clone(), self.changes.len());
                self.changes.push(change);
            }
        }
    }

    /// Makes a task for a place. It may run at once, unless it has to wait.
    pub(crate) fn create(&mut self, place: &Place, slot: &mut Slot<'a>, mut past: Past) {
        let before = |t: &Arc<Task>| t.past.as_ref().map_or(0, |p| p.before);
        past.before = slot.newest().map_or(0, |t| before(t) + 1);
        let waits = past.wait > 0 || slot.is_occupied(self.tables);
        let (number, node) = match place {
            Place::Slot(number) => (*number, Id::default()),
            Place::Node(node) => (0, node.clone()),
        };
        let task = Task {
            id: self.random.id(),
            meta: Meta {
                version: 0,
                created: self.now,
                updated: self.now,
            },
            service: self.service.id.clone(),
            service_name: self.shared.name.clone(),
            slot: number,
            node,
            spec: self.shared.spec.clone(),
            labels: self.shared.labels.clone(),
            spec_version: self.service.spec_version,
            status: TaskStatus {
                time: self.now,
                heard: self.now,
                message: "created".into(),
                ..TaskStatus::default()
            },
            desired: if waits { TaskState::Ready } else { self.goal },
            ports: self.shared.ports.clone(),
            job_iteration: self.service.is_job().then(|| self.iteration()),
            generic: Vec::new(),
            past: (past != Past::default()).then(|| Box::new(past)),
        };
        self.changes.push(Change::put(task));
        slot.touched = true;
    }

    /// Which run of a job there is.
    pub(crate) fn iteration(&self) -> u64 {
        self.service.job.as_ref().map_or(0, |job| job.iteration)
    }

    /// Whether less than `span` passed since; if so, the service is looked at again then.
    pub(crate) fn waits(&mut self, since: Time, span: i64) -> bool {
        let passed = self.now.saturating_sub(since);
        // What lies in the future was written before the clock went back: it is not waited for.
        let waits = (0..span).contains(&passed);
        if waits {
            let then = since.saturating_add(span);
            self.wake = Some(self.wake.map_or(then, |w| w.min(then)));
        }
        waits
    }

    /// The constraints that a task has to fit: those it was made under, so that changed ones are rolled
    /// out; in a global service those that are wished, as there is no other node to roll it out to.
    pub(crate) fn constraints_of(&self, task: &Task) -> std::borrow::Cow<'_, [Constraint]> {
        if self.is_dirty(task) && !self.service.is_global() {
            read_constraints(&task.spec).into()
        } else {
            (&self.constraints[..]).into()
        }
    }
}

/// What the tasks of a service can share, and which of them run something else than is wished.
fn compare(service: &Service, tables: &Tables) -> (Shared, BTreeSet<Id>) {
    let spec = &service.spec;
    let wished = spec.endpoint_spec.as_ref().map_or(&[][..], |e| &e.ports);
    let mut shared = None::<Shared>;
    let mut dirty = BTreeSet::new();
    // Most tasks share one wish, which is compared once.
    let mut same_spec = None::<(*const TaskSpec, bool)>;
    for task in tables.tasks_of_service(service.id.as_str()) {
        let by_this = task.spec_version == service.spec_version;
        if by_this && shared.is_some() {
            continue;
        }
        let pointer = Arc::as_ptr(&task.spec);
        let same = match same_spec {
            Some((last, same)) if last == pointer => same,
            _ => *task.spec == spec.task_template,
        };
        same_spec = Some((pointer, same));
        if !(by_this || same && same_ports(&task.ports, wished)) {
            dirty.insert(task.id.clone());
        } else if same && shared.is_none() {
            shared = Some(Shared {
                spec: task.spec.clone(),
                name: task.service_name.clone(),
                labels: task.labels.clone(),
                ports: service.ports.clone(),
            });
        }
    }
    let mut shared = shared.unwrap_or_else(|| Shared {
        spec: Arc::new(spec.task_template.clone()),
        name: spec.name.as_str().into(),
        labels: Arc::new(spec.labels.clone()),
        ports: service.ports.clone(),
    });
    if *shared.name != *spec.name {
        shared.name = spec.name.as_str().into();
    }
    if *shared.labels != spec.labels {
        shared.labels = Arc::new(spec.labels.clone());
    }
    // Numbers may still have to be found for them.
    if !same_ports(&shared.ports, wished) {
        shared.ports = wished.into();
    }
    (shared, dirty)
}

fn read_constraints(spec: &TaskSpec) -> Vec<Constraint> {
    let placement = spec.placement.as_ref();
    placement.map_or_else(Vec::new, |p| {
        constraint::parse(&p.constraints).unwrap_or_default()
    })
}

/// Whether a task's ports are those that are wished, whatever number was found for one without.
fn same_ports(have: &[PortConfig], wished: &[PortConfig]) -> bool {
    let same = |a: &PortConfig, b: &PortConfig| {
        (a.protocol, a.target_port, a.publish_mode) == (b.protocol, b.target_port, b.publish_mode)
            && (a.published_port == b.published_port
                || a.published_port == 0
                || b.published_port == 0)
    };
    have.len() == wished.len() && have.iter().zip(wished).all(|(a, b)| same(a, b))
}
