//! Whatever happens, in whatever order: one wanted task a place, and in the end what was wished.

use std::collections::BTreeMap;

use proptest::prelude::*;
use store::Tables;
use swarm_api::{JobStatus, Task};
use types::swarm::node::{Availability, NodeState};
use types::swarm::service::{
    Empty, FailureAction, ReplicatedJob, ServiceMode, ServiceSpec, UpdateConfig, UpdateOrder,
};
use types::swarm::task::{RestartCondition, RestartPolicy, TaskState};

use super::world;
use crate::testing::{SECOND, World, replicated, scale, set_image};

const NODES: usize = 4;

/// Something that happens.
#[derive(Debug, Clone)]
enum Act {
    Scale(u64),
    Image(u8),
    Force,
    Rules(FailureAction, u64),
    State(usize, NodeState),
    Availability(usize, Availability),
    /// The so-many-th task ends.
    End(usize, TaskState),
    Hold(bool),
    /// The job runs again.
    Again,
    /// A new leader's loops know nothing.
    Leader,
    Loops,
    /// Something happens to one of the tasks.
    Step(usize),
    Nodes,
    Pass(i64),
}

fn act() -> impl Strategy<Value = Act> {
    use TaskState::{Complete, Failed};
    let state = prop_oneof![
        Just(NodeState::Ready),
        Just(NodeState::Down),
        Just(NodeState::Unknown)
    ];
    let availability = prop_oneof![
        Just(Availability::Active),
        Just(Availability::Pause),
        Just(Availability::Drain)
    ];
    let action = prop_oneof![
        Just(FailureAction::Pause),
        Just(FailureAction::Continue),
        Just(FailureAction::Rollback)
    ];
    prop_oneof![
        2 => (0..6_u64).prop_map(Act::Scale),
        2 => (0..4_u8).prop_map(Act::Image),
        1 => Just(Act::Force),
        1 => (action, 0..4_u64).prop_map(|(a, p)| Act::Rules(a, p)),
        2 => (1..=NODES, state).prop_map(|(n, s)| Act::State(n, s)),
        2 => (1..=NODES, availability).prop_map(|(n, a)| Act::Availability(n, a)),
        3 => (0..20_usize, prop_oneof![Just(Complete), Just(Failed)])
            .prop_map(|(n, s)| Act::End(n, s)),
        1 => any::<bool>().prop_map(Act::Hold),
        1 => Just(Act::Again),
        1 => Just(Act::Leader),
        6 => Just(Act::Loops),
        6 => (0..20_usize).prop_map(Act::Step),
        3 => Just(Act::Nodes),
        3 => (-20..100_i64).prop_map(Act::Pass),
    ]
}

/// One wanted task a place; two where one starts before the other stops.
fn one_a_place(tables: &Tables) {
    for service in tables.services() {
        let mut wanted = BTreeMap::new();
        for task in tables.tasks_of_service(service.id.as_str()) {
            if task.is_wanted() {
                let node = (task.slot == 0).then(|| task.node.clone());
                let place = (task.slot, node, task.job_iteration);
                *wanted.entry(place).or_insert(0) += 1;
            }
        }
        let config = service.spec.update_config.as_ref();
        let most = match config.map(|c| c.order) {
            Some(UpdateOrder::StartFirst) => 2,
            _ => 1,
        };
        assert!(wanted.values().all(|n| *n <= most), "{wanted:?}");
    }
}

fn happen(world: &mut World, act: Act) {
    match act {
        Act::Scale(n) => world.wish("web", |spec| scale(spec, n)),
        Act::Image(n) => {
            let image = ["app:1", "app:2", "crash:3", "bad:4"][usize::from(n)];
            world.wish("web", |spec| set_image(spec, image));
            world.wish("log", |spec| set_image(spec, image));
        }
        Act::Force => world.wish("web", |spec| spec.task_template.force_update += 1),
        Act::Rules(action, parallelism) => {
            let set = |spec: &mut ServiceSpec| {
                let config = spec.update_config.get_or_insert_default();
                config.failure_action = action;
                config.parallelism = parallelism;
            };
            world.wish("web", set);
            world.wish("log", set);
        }
        Act::State(n, state) => world.state(&format!("n{n}"), state),
        Act::Availability(n, it) => world.availability(&format!("n{n}"), it),
        Act::End(n, state) => {
            let mut tasks = world.tasks("web");
            tasks.extend(world.tasks("log"));
            tasks.extend(world.tasks("job"));
            let view = world.store.view();
            let node = |id: &str| view.node(id).map(|n| n.state);
            tasks.retain(|t| node(t.node.as_str()) == Some(NodeState::Ready));
            tasks.retain(|t| t.status.state == TaskState::Running);
            drop(view);
            let task = tasks.get(n);
            if let Some(task) = task {
                world.report(task, state);
            }
        }
        Act::Hold(holds) => world.holds_stops = holds,
        Act::Again => {
            let mut service = world.service("job");
            service.job = Some(JobStatus {
                iteration: service.job.as_ref().map_or(0, |j| j.iteration) + 1,
                started: world.now,
            });
            world.put(service);
        }
        Act::Leader => world.new_leader(),
        Act::Loops => drop(world.loops()),
        Act::Step(n) => {
            let task = world
                .store
                .view()
                .tasks()
                .filter(|t| t.is_live())
                .nth(n)
                .cloned();
            if let Some(task) = task {
                world.step(&task);
            }
        }
        Act::Nodes => drop(world.nodes()),
        Act::Pass(seconds) => {
            // Also backwards, as clocks do.
            world.jump(seconds * SECOND);
        }
    }
}

fn run(order: UpdateOrder, races: bool, acts: Vec<Act>) {
    let mut world = world(NODES);
    world.check = one_a_place;
    world.races = races;
    let mut spec = replicated("app:1", 3);
    spec.update_config = Some(UpdateConfig {
        parallelism: 1,
        order,
        ..UpdateConfig::default()
    });
    world.serve("web", spec.clone());
    spec.mode = ServiceMode {
        global: Some(Empty {}),
        ..ServiceMode::default()
    };
    world.serve("log", spec.clone());
    spec.mode = ServiceMode {
        replicated_job: Some(ReplicatedJob {
            max_concurrent: Some(2),
            total_completions: Some(5),
        }),
        ..ServiceMode::default()
    };
    spec.update_config = None;
    spec.task_template.restart_policy = Some(RestartPolicy {
        condition: RestartCondition::OnFailure,
        ..RestartPolicy::default()
    });
    world.serve("job", spec);
    for act in acts {
        happen(&mut world, act);
    }
    // And then nothing more does: all nodes are well, all images too.
    world.holds_stops = false;
    world.starts = |_| TaskState::Running;
    for n in 1..=NODES {
        world.state(&format!("n{n}"), NodeState::Ready);
        world.availability(&format!("n{n}"), Availability::Active);
    }
    world.races = false;
    world.pass(600 * SECOND);
    // A paused update stays so until the next change.
    for service in ["web", "log"] {
        world.wish(service, |spec| spec.task_template.force_update += 1);
    }
    world.pass(600 * SECOND);
    for service in ["web", "log"] {
        let wished = world.service(service).replicas().unwrap_or(NODES as u64);
        let running = world.running(service);
        assert_eq!(running.len() as u64, wished, "{service}");
        let spec = &world.service(service).spec.task_template;
        assert!(running.iter().all(|t| *t.spec == *spec));
        let wanted = world.tasks(service).into_iter().filter(|t| t.is_wanted());
        assert_eq!(wanted.count() as u64, wished);
    }
    // What ended early may have to wait for its turn.
    for _ in 0..20 {
        for task in world.running("job") {
            world.report(&task, TaskState::Complete);
        }
        world.pass(10 * SECOND);
    }
    let run = world.service("job").job.map_or(0, |j| j.iteration);
    let mut tasks = world.tasks("job");
    tasks.retain(|t| t.is_wanted());
    assert_eq!(tasks.len(), 5);
    let is_done = |t: &Task| t.status.state == TaskState::Complete && t.job_iteration == Some(run);
    assert!(tasks.iter().all(is_done));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        start_first: bool,
        races: bool,
        acts in prop::collection::vec(act(), 0..60),
    ) {
        let order = if start_first { UpdateOrder::StartFirst } else { UpdateOrder::StopFirst };
        run(order, races, acts);
    }
}
