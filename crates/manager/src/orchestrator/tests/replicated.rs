//! Replicated services: scaling, restarts, nodes that go.

use types::swarm::node::{Availability, NodeState};
use types::swarm::task::{Placement, RestartPolicy, TaskState};

use super::world;
use crate::testing::{SECOND, World, replicated, scale};

fn slots(world: &World) -> Vec<u64> {
    world.running("web").iter().map(|t| t.slot).collect()
}

#[test]
fn as_many_as_wished_run_and_are_scaled() {
    let mut world = world(3);
    world.serve("web", replicated("app", 5));
    world.settle();
    assert_eq!(slots(&world), [1, 2, 3, 4, 5]);
    world.wish("web", |spec| scale(spec, 7));
    world.settle();
    assert_eq!(slots(&world), [1, 2, 3, 4, 5, 6, 7]);
    world.wish("web", |spec| scale(spec, 3));
    world.settle();
    assert_eq!(world.running("web").len(), 3);
    // Of the others nothing is left.
    assert_eq!(world.tasks("web").len(), 3);
    world.wish("web", |spec| scale(spec, 0));
    world.settle();
    assert_eq!(world.tasks("web").len(), 0);
    world.wish("web", |spec| scale(spec, 2));
    world.settle();
    assert_eq!(slots(&world), [1, 2]);
    assert_eq!(world.service("web").update, None);
}

#[test]
fn a_task_that_is_stopped_by_hand_is_replaced_at_once() {
    let mut world = world(2);
    world.serve("web", replicated("app", 3));
    world.settle();
    let stopped = world.at("web", 2);
    world.report(&stopped, TaskState::Complete);
    world.settle();
    assert_eq!(slots(&world), [1, 2, 3]);
    let old: Vec<_> = world
        .tasks("web")
        .into_iter()
        .filter(|t| !t.is_wanted())
        .collect();
    assert_eq!(old.len(), 1);
    assert_eq!(old[0].id, stopped.id);
    assert_eq!(old[0].desired, TaskState::Shutdown);
}

#[test]
fn what_fails_again_and_again_waits_ready_between() {
    let mut world = world(1);
    world.serve("web", replicated("crash", 1));
    world.settle();
    // The first is replaced at once; the one after it has its image, and waits.
    let tasks = world.tasks("web");
    let states: Vec<_> = tasks.iter().map(|t| t.status.state).collect();
    assert_eq!(
        states,
        [TaskState::Failed, TaskState::Failed, TaskState::Ready]
    );
    assert_eq!(tasks[2].desired, TaskState::Ready);
    world.pass(4 * SECOND);
    assert_eq!(world.tasks("web").len(), 3);
    world.pass(2 * SECOND);
    assert_eq!(world.tasks("web").len(), 4);
    // Once it runs for long enough, all is forgotten.
    world.starts = |_| TaskState::Running;
    world.pass(20 * SECOND);
    let running = world.at("web", 1);
    world.report(&running, TaskState::Failed);
    world.settle();
    assert_eq!(slots(&world), [1]);
}

#[test]
fn what_is_rejected_while_it_waits_is_not_asked_for_without_a_pause() {
    let mut world = world(1);
    world.serve("web", replicated("bad", 1));
    world.pass(60 * SECOND);
    let made = world.tasks("web");
    // Two at once, and one each 5 seconds; the reaper keeps five.
    assert_eq!(made.len(), 5);
    let past = made.last().unwrap().past.as_ref().unwrap();
    assert!((11..=14).contains(&past.restarts), "{}", past.restarts);
}

#[test]
fn attempts_end() {
    let mut world = world(1);
    let mut spec = replicated("crash", 1);
    spec.task_template.restart_policy = Some(RestartPolicy {
        max_attempts: Some(2),
        delay: Some(SECOND),
        ..RestartPolicy::default()
    });
    world.serve("web", spec);
    world.pass(60 * SECOND);
    let tasks = world.tasks("web");
    assert_eq!(tasks.len(), 3);
    assert!(tasks.iter().all(|t| !t.is_wanted()));
    // A new wish is a new beginning.
    world.starts = |_| TaskState::Running;
    world.wish("web", |spec| spec.task_template.force_update = 1);
    world.pass(60 * SECOND);
    assert_eq!(slots(&world), [1]);
}

#[test]
fn tasks_of_a_node_that_is_down_are_replaced_at_once_and_told_when_it_is_back() {
    let mut world = world(3);
    world.serve("web", replicated("app", 6));
    world.settle();
    world.state("n1", NodeState::Down);
    world.settle();
    assert_eq!(slots(&world), [1, 2, 3, 4, 5, 6]);
    assert!(world.running("web").iter().all(|t| t.node != "n1".into()));
    let old = |world: &World| {
        let tasks = world.tasks("web").into_iter();
        let old: Vec<_> = tasks.filter(|t| t.node == "n1".into()).collect();
        assert_eq!(old.len(), 2);
        assert!(old.iter().all(|t| t.desired == TaskState::Shutdown));
        old[0].status.state
    };
    assert_eq!(old(&world), TaskState::Running);
    world.state("n1", NodeState::Ready);
    world.settle();
    assert_eq!(old(&world), TaskState::Shutdown);
    assert_eq!(slots(&world), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_drained_node_gives_its_tasks_away_one_stopped_before_the_next_runs() {
    let mut world = world(2);
    world.serve("web", replicated("app", 4));
    world.settle();
    world.holds_stops = true;
    world.availability("n1", Availability::Drain);
    world.settle();
    assert_eq!(world.running("web").len(), 2);
    let waiting = world.tasks("web").into_iter();
    let waiting: Vec<_> = waiting
        .filter(|t| t.status.state == TaskState::Ready)
        .collect();
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|t| t.node == "n2".into()));
    world.holds_stops = false;
    world.settle();
    assert_eq!(slots(&world), [1, 2, 3, 4]);
    // A paused node keeps what it has.
    world.availability("n2", Availability::Pause);
    world.settle();
    assert_eq!(slots(&world), [1, 2, 3, 4]);
}

#[test]
fn a_task_that_does_not_stop_is_not_waited_for_without_an_end() {
    let mut world = world(2);
    world.serve("web", replicated("app", 2));
    world.settle();
    world.holds_stops = true;
    world.availability("n1", Availability::Drain);
    world.pass(59 * SECOND);
    assert_eq!(world.running("web").len(), 1);
    world.pass(2 * SECOND);
    assert_eq!(world.running("web").len(), 2);
}

#[test]
fn a_node_that_is_not_what_is_asked_for_any_more_is_left() {
    let mut world = world(2);
    let label = |world: &World, node: &str, value: &str| {
        world.node(node, |_, spec| {
            spec.labels.insert("zone".into(), value.into());
        });
    };
    label(&world, "n1", "a");
    label(&world, "n2", "b");
    let mut spec = replicated("app", 2);
    spec.task_template.placement = Some(Placement {
        constraints: vec!["node.labels.zone==a".into()],
        ..Placement::default()
    });
    world.serve("web", spec);
    world.settle();
    assert!(world.running("web").iter().all(|t| t.node == "n1".into()));
    label(&world, "n1", "b");
    label(&world, "n2", "a");
    world.settle();
    assert_eq!(slots(&world), [1, 2]);
    assert!(world.running("web").iter().all(|t| t.node == "n2".into()));
}

#[test]
fn a_clock_that_goes_back_stops_nothing() {
    let mut world = world(1);
    world.serve("web", replicated("crash", 1));
    world.settle();
    world.starts = |_| TaskState::Running;
    world.jump(-3_600 * SECOND);
    world.pass(6 * SECOND);
    assert_eq!(slots(&world), [1]);
    let running = world.at("web", 1);
    world.report(&running, TaskState::Failed);
    world.pass(6 * SECOND);
    assert_eq!(slots(&world), [1]);
}
