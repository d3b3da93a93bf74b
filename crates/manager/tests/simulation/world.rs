//! The world: time, the managers, and the messages between them and the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use manager::allocator::Allocator;
use manager::dispatch::{self, Told, Updates};
use manager::enforcer::Enforcer;
use manager::nodes::{Keeper, Pulse};
use manager::orchestrator::{Global, Jobs, Reaper, Removal, Replicated};
use manager::plan::{Loop, Random, Turn};
use manager::scheduler::Scheduler;
use store::{Alone, Heard, Store, Tables, Watch};
use swarm_api::session::{Assignments, StatusUpdate};
use swarm_api::{Change, Id, Time};

use crate::agent::Agent;
use crate::chaos::{self, Scale};
use crate::users::Users;

pub(crate) const MILLI: Time = 1_000_000;
pub(crate) const SECOND: Time = 1_000 * MILLI;

/// A span of time up to this one.
pub(crate) fn up_to(random: &mut Random, span: Time) -> Time {
    let number = i64::try_from(random.number() >> 1).expect("63 bits");
    number % (span + 1)
}

/// What happens at some time.
#[derive(Debug)]
pub(crate) enum What {
    /// The managers' loops have their turns.
    Managers,
    /// All nodes say that they live.
    Beats,
    Step(Id),
    Connect(Id),
    Told(Id, u32, Assignments),
    Said(Id, u32, Vec<StatusUpdate>),
    /// Something breaks, or a user wants something.
    Chaos,
    /// What was broken is whole again.
    Heal(Id),
}

/// What happened so far.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) changes: u64,
    pub(crate) refused: u64,
    pub(crate) leaders: u64,
    pub(crate) crashes: u64,
    pub(crate) cuts: u64,
    pub(crate) wishes: u64,
}

struct Runner {
    it: Box<dyn Loop>,
    watch: Watch,
    wake: Time,
    new: bool,
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) time: Time,
    /// By how much the managers' clock is wrong.
    pub(crate) skew: Time,
    pub(crate) random: Random,
    pub(crate) agents: BTreeMap<Id, Agent>,
    pub(crate) users: Users,
    pub(crate) quiet: bool,
    pub(crate) counts: Counts,
    pub(crate) scale: Scale,
    pub(crate) pulse: Pulse,
    loops: Vec<Runner>,
    pub(crate) told: BTreeMap<Id, Told>,
    updates: Updates,
    changes: Watch,
    queue: BTreeMap<(Time, u64), What>,
    next: u64,
    /// When the managers' loops have their next turns.
    managers: Time,
    /// Nodes whose tasks changed since the rules were looked at last, and services.
    pub(crate) touched_nodes: BTreeSet<Id>,
    pub(crate) touched_services: BTreeSet<Id>,
}

/// Waits for what never waits: nobody else uses the store.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the store waits"),
    }
}

fn loops(store: &Store, pulse: &Pulse) -> Vec<Runner> {
    let all: Vec<Box<dyn Loop>> = vec![
        Box::new(Keeper::new(pulse.clone())),
        Box::new(Allocator::default()),
        Box::new(Scheduler::default()),
        Box::new(Enforcer),
        Box::new(Replicated::new()),
        Box::new(Global::new()),
        Box::new(Jobs::new()),
        Box::new(Removal::new()),
        Box::new(Reaper::new()),
    ];
    let runner = |it| Runner {
        it,
        watch: store.watch(|_| ()).1,
        wake: Time::MIN,
        new: true,
    };
    all.into_iter().map(runner).collect()
}

impl World {
    pub(crate) fn new(seed: u64, scale: Scale) -> Self {
        let store = Store::new(Tables::default(), Arc::new(Alone::default()));
        let pulse = Pulse::default();
        let changes = store.watch(|_| ()).1;
        let mut world = Self {
            loops: loops(&store, &pulse),
            store,
            time: 1_000_000 * SECOND,
            skew: 0,
            random: Random::new(seed),
            agents: BTreeMap::new(),
            users: Users::default(),
            quiet: false,
            counts: Counts::default(),
            scale,
            pulse,
            told: BTreeMap::new(),
            updates: Updates::default(),
            changes,
            queue: BTreeMap::new(),
            next: 0,
            managers: Time::MAX,
            touched_nodes: BTreeSet::new(),
            touched_services: BTreeSet::new(),
        };
        chaos::begin(&mut world);
        world.after(0, What::Beats);
        world.after(SECOND, What::Chaos);
        world.wake_managers(0);
        world
    }

    /// The time by the managers' clock.
    pub(crate) fn now(&self) -> Time {
        self.time + self.skew
    }

    pub(crate) fn after(&mut self, span: Time, what: What) {
        self.at(self.time + span, what);
    }

    pub(crate) fn at(&mut self, time: Time, what: What) {
        self.next += 1;
        self.queue.insert((time, self.next), what);
    }

    pub(crate) fn wake_managers(&mut self, span: Time) {
        let then = self.time + span;
        if then < self.managers {
            self.managers = then;
            self.after(span, What::Managers);
        }
    }

    /// A change by a user; acknowledged when this returns.
    pub(crate) fn commit(&mut self, changes: Vec<Change>) {
        ready(self.store.commit(changes)).expect("a change from the newest state");
        let span = up_to(&mut self.random, 20 * MILLI);
        self.wake_managers(span);
    }

    /// Everything breaks for a while.
    pub(crate) fn live(&mut self) {
        let hours = i64::try_from(self.scale.hours).expect("small");
        self.run(self.time + hours * 3600 * SECOND);
    }

    /// Nothing breaks any more: in a while all is as it is wished.
    pub(crate) fn calm(&mut self) {
        self.quiet = true;
        chaos::heal(self);
        let seconds = 900 + i64::try_from(self.scale.tasks).expect("small") / 4;
        self.run(self.time + seconds * SECOND);
        crate::rules::converged(self);
    }

    fn run(&mut self, until: Time) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until {
                break;
            }
            self.time = self.time.max(entry.key().0);
            let what = entry.remove();
            self.happen(what);
        }
        self.time = until;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Managers if self.time >= self.managers => self.manage(),
            What::Managers => {}
            What::Beats => self.beats(),
            What::Step(id) => self.step(&id),
            What::Connect(id) => self.connect(&id),
            What::Told(id, session, assignments) => {
                if let Some(agent) = self.linked(&id, session) {
                    agent.held.apply(assignments).expect("no step is missing");
                    self.step(&id);
                }
            }
            What::Said(id, session, updates) => {
                if self.linked(&id, session).is_some() {
                    let view = self.store.view();
                    for update in updates {
                        self.updates
                            .add(&view, &id, update)
                            .expect("an honest node");
                    }
                    drop(view);
                    let span = up_to(&mut self.random, 50 * MILLI);
                    self.wake_managers(span);
                }
            }
            What::Chaos => chaos::happen(self),
            What::Heal(id) => chaos::heal_one(self, &id),
        }
    }

    /// Another manager leads: it knows nothing but the tables, and no node is connected to it.
    pub(crate) fn new_leader(&mut self) {
        self.pulse = Pulse::default();
        if self.scale.nodes < 100 {
            // It may have them from a snapshot.
            let view = self.store.view();
            let text = serde_json::to_string(&view.objects().collect::<Vec<_>>()).expect("text");
            let objects: Vec<swarm_api::Object> = serde_json::from_str(&text).expect("objects");
            let tables = Tables::from_objects(view.index(), objects);
            drop(view);
            self.store.replace(tables);
        }
        self.loops = loops(&self.store, &self.pulse);
        self.told.clear();
        self.updates = Updates::default();
        let ids: Vec<_> = self.agents.keys().cloned().collect();
        for id in ids {
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.connected = false;
            }
            let span = up_to(&mut self.random, 3 * SECOND);
            self.after(span, What::Connect(id));
        }
        self.wake_managers(0);
    }

    /// Turns of all loops that have something to do.
    fn manage(&mut self) {
        self.managers = Time::MAX;
        let now = self.now();
        let said = self.updates.take(&self.store.view(), now);
        let mut made = said.len();
        self.make(said);
        // Some decide from what others change at the same time.
        let at_once = self.random.number().is_multiple_of(2);
        let first = usize::try_from(self.random.number() % 9).expect("small");
        let mut plans = Vec::new();
        let mut wake = Time::MAX;
        for n in 0..self.loops.len() {
            let count = self.loops.len();
            let runner = &mut self.loops[(n + first) % count];
            let mut heard = runner.watch.take();
            let idle = matches!(&heard, Heard::Events(events) if events.is_empty());
            let keeps = runner.it.name() == "nodes";
            if std::mem::take(&mut runner.new) {
                heard = Heard::Everything;
            } else if idle && runner.wake > now && !keeps {
                wake = wake.min(runner.wake);
                continue;
            }
            let plan = runner.it.turn(&mut Turn {
                tables: &self.store.view(),
                heard: &heard,
                now,
                random: &mut self.random,
            });
            runner.wake = plan.wake.unwrap_or(Time::MAX);
            wake = wake.min(runner.wake);
            made += plan.changes.len();
            if at_once {
                plans.push(plan.changes);
            } else {
                self.make(plan.changes);
            }
        }
        for changes in plans {
            self.make(changes);
        }
        self.hear();
        crate::rules::check(self);
        if made > 0 {
            let span = up_to(&mut self.random, 50 * MILLI);
            self.wake_managers(span);
        } else if wake < Time::MAX {
            self.wake_managers((wake - now).max(MILLI));
        }
    }

    fn make(&mut self, changes: Vec<Change>) {
        self.counts.changes += changes.len() as u64;
        let refused = ready(self.store.commit_each(changes)).expect("the log is kept");
        self.counts.refused += refused.len() as u64;
    }

    /// The dispatcher hears of changes, and tells the nodes.
    fn hear(&mut self) {
        let mut nodes = BTreeSet::new();
        match self.changes.take() {
            Heard::Everything => {
                nodes.extend(self.agents.keys().cloned());
                let view = self.store.view();
                self.touched_services
                    .extend(view.services().map(|s| s.id.clone()));
            }
            Heard::Events(events) => {
                for event in &events {
                    nodes.extend(dispatch::touched(event).cloned());
                    if let Some(swarm_api::Object::Task(task)) = &event.new {
                        self.touched_services.insert(task.service.clone());
                    }
                }
            }
        }
        for id in &nodes {
            self.tell(id, false);
        }
        self.touched_nodes.append(&mut nodes);
    }
}
