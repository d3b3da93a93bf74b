//! Jobs: tasks that run to their end.

use swarm_api::{JobStatus, Task};
use types::swarm::node::{Availability, NodeState};
use types::swarm::service::{Empty, ReplicatedJob, ServiceMode, ServiceSpec};
use types::swarm::task::{RestartCondition, RestartPolicy, TaskState};

use super::world;
use crate::testing::{SECOND, World, replicated};

fn job(mode: ServiceMode, condition: RestartCondition) -> ServiceSpec {
    let mut spec = ServiceSpec {
        mode,
        ..replicated("app", 1)
    };
    spec.task_template.restart_policy = Some(RestartPolicy {
        condition,
        ..RestartPolicy::default()
    });
    spec
}

fn so_many(at_once: u64, total: u64) -> ServiceMode {
    ServiceMode {
        replicated_job: Some(ReplicatedJob {
            max_concurrent: Some(at_once),
            total_completions: Some(total),
        }),
        ..ServiceMode::default()
    }
}

fn everywhere() -> ServiceMode {
    ServiceMode {
        global_job: Some(Empty {}),
        ..ServiceMode::default()
    }
}

fn in_state(world: &World, state: TaskState) -> Vec<Task> {
    let mut tasks = world.tasks("job");
    tasks.retain(|t| t.status.state == state);
    tasks
}

fn complete(world: &mut World) {
    for task in world.running("job") {
        world.report(&task, TaskState::Complete);
    }
    world.settle();
}

fn again(world: &World) {
    let mut service = world.service("job");
    let iteration = service.job.as_ref().map_or(0, |j| j.iteration) + 1;
    service.job = Some(JobStatus {
        iteration,
        started: world.now,
    });
    world.put(service);
}

#[test]
fn so_many_at_once_and_in_all() {
    let mut world = world(2);
    world.serve("job", job(so_many(2, 5), RestartCondition::OnFailure));
    world.settle();
    for (running, done) in [(2, 0), (2, 2), (1, 4), (0, 5)] {
        assert_eq!(world.running("job").len(), running);
        assert_eq!(in_state(&world, TaskState::Complete).len(), done);
        complete(&mut world);
    }
    let slots: Vec<_> = world.tasks("job").iter().map(|t| t.slot).collect();
    assert_eq!(slots, [1, 2, 3, 4, 5]);
    assert!(
        world
            .tasks("job")
            .iter()
            .all(|t| t.desired == TaskState::Complete)
    );
    // Another run begins from nothing.
    again(&world);
    world.settle();
    assert_eq!(world.running("job").len(), 2);
    // And another before it ended.
    again(&world);
    world.settle();
    let running = world.running("job");
    assert_eq!(running.len(), 2);
    assert!(running.iter().all(|t| t.job_iteration == Some(2)));
}

#[test]
fn what_fails_is_tried_again_or_given_up() {
    for (condition, tries, done) in [
        (RestartCondition::OnFailure, true, 3),
        (RestartCondition::None, false, 2),
    ] {
        let mut world = world(1);
        world.serve("job", job(so_many(1, 3), condition));
        world.settle();
        let first = world.at("job", 1);
        world.report(&first, TaskState::Failed);
        world.settle();
        assert_eq!(world.running("job")[0].slot == 1, tries);
        for _ in 0..3 {
            complete(&mut world);
            world.pass(SECOND);
        }
        assert_eq!(in_state(&world, TaskState::Complete).len(), done);
        assert_eq!(world.running("job").len(), 0);
    }
}

#[test]
fn a_node_that_goes_gives_its_tasks_away() {
    let mut world = world(2);
    world.serve("job", job(so_many(4, 4), RestartCondition::OnFailure));
    world.settle();
    world.state("n1", NodeState::Down);
    world.settle();
    assert!(world.running("job").iter().all(|t| t.node == "n2".into()));
    assert_eq!(world.running("job").len(), 4);
}

#[test]
fn a_global_job_runs_once_on_each_node_that_was_there() {
    let mut world = world(3);
    world.availability("n3", Availability::Drain);
    world.serve("job", job(everywhere(), RestartCondition::OnFailure));
    again(&world);
    world.settle();
    assert_eq!(world.running("job").len(), 2);
    complete(&mut world);
    assert_eq!(in_state(&world, TaskState::Complete).len(), 2);
    // A newer node is passed by, until the next run.
    world.node("n3", |node, spec| {
        node.meta.created = world.now + 1;
        spec.availability = Availability::Active;
    });
    world.settle();
    assert_eq!(world.running("job").len(), 0);
    world.now += SECOND;
    again(&world);
    world.settle();
    assert_eq!(world.running("job").len(), 3);
}
