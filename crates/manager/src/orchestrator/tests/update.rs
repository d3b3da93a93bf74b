//! Rolling updates.

use types::swarm::service::{FailureAction, UpdateConfig, UpdateOrder, UpdateState};
use types::swarm::task::TaskState;

use super::world;
use crate::testing::{SECOND, World, image, replicated, scale, set_image};

fn rules(change: impl FnOnce(&mut UpdateConfig)) -> Option<UpdateConfig> {
    let mut config = UpdateConfig {
        parallelism: 1,
        ..UpdateConfig::default()
    };
    change(&mut config);
    Some(config)
}

/// A service of six that runs `app:1`.
fn begin(config: Option<UpdateConfig>) -> World {
    let mut world = world(3);
    let mut spec = replicated("app:1", 6);
    spec.update_config = config;
    world.serve("web", spec);
    world.pass(10 * SECOND);
    world
}

fn update(world: &World, image: &str) {
    world.wish("web", |spec| set_image(spec, image));
}

/// How many tasks of each image run.
fn running(world: &World, name: &str) -> usize {
    world
        .running("web")
        .iter()
        .filter(|t| image(t) == name)
        .count()
}

fn status(world: &World) -> (UpdateState, String) {
    let update = world.service("web").update.unwrap();
    (update.state, update.message)
}

fn is(world: &World, state: UpdateState, begins: &str) {
    let (is, message) = status(world);
    assert_eq!(is, state, "{message}");
    assert!(message.starts_with(begins), "{message}");
}

#[test]
fn one_after_the_other_and_watched_to_the_end() {
    let mut world = begin(rules(|c| c.delay = 10 * SECOND));
    update(&world, "app:2");
    world.settle();
    is(&world, UpdateState::Updating, "update in progress");
    for n in 1..=6 {
        assert_eq!(running(&world, "app:2"), n);
        assert_eq!(world.running("web").len(), 6);
        world.pass(9 * SECOND);
        assert_eq!(running(&world, "app:2"), n);
        world.pass(SECOND);
    }
    is(&world, UpdateState::Completed, "update completed");
    assert!(world.service("web").update.unwrap().completed.is_some());
    // By its watch, the last is waited for.
    update(&world, "app:3");
    world.wish("web", |spec| {
        spec.update_config = rules(|c| (c.parallelism, c.monitor) = (0, Some(30 * SECOND)));
    });
    world.pass(29 * SECOND);
    assert_eq!(running(&world, "app:3"), 6);
    is(&world, UpdateState::Updating, "update in progress");
    world.pass(2 * SECOND);
    is(&world, UpdateState::Completed, "update completed");
}

#[test]
fn so_many_at_once() {
    let mut world = begin(rules(|c| c.parallelism = 4));
    world.holds_stops = true;
    update(&world, "app:2");
    world.settle();
    // Four stop; the new ones have what they need, and wait for that.
    assert_eq!(running(&world, "app:1"), 2);
    let waiting = world.tasks("web").into_iter();
    let waiting = waiting.filter(|t| t.status.state == TaskState::Ready);
    assert_eq!(waiting.count(), 4);
    world.holds_stops = false;
    world.settle();
    assert_eq!(running(&world, "app:2"), 6);
}

#[test]
fn start_first_stops_the_old_one_when_the_new_one_runs() {
    let mut world = begin(rules(|c| c.order = UpdateOrder::StartFirst));
    update(&world, "slow:2");
    world.pass(100 * SECOND);
    assert_eq!(running(&world, "app:1"), 6);
    let starting = |t: &swarm_api::Task| t.status.state == TaskState::Starting;
    assert_eq!(world.tasks("web").iter().filter(|t| starting(t)).count(), 1);
    world.starts = |_| TaskState::Running;
    world.pass(10 * SECOND);
    assert_eq!(running(&world, "slow:2"), 6);
    assert_eq!(world.running("web").len(), 6);
    is(&world, UpdateState::Completed, "update completed");
}

#[test]
fn a_failure_pauses_and_the_next_change_goes_on() {
    for order in [UpdateOrder::StopFirst, UpdateOrder::StartFirst] {
        for bad in ["bad:2", "crash:2"] {
            let mut world = begin(rules(|c| c.order = order));
            update(&world, bad);
            world.pass(60 * SECOND);
            is(
                &world,
                UpdateState::Paused,
                "update paused due to failure or early termination of task ",
            );
            let untouched = if order == UpdateOrder::StartFirst {
                6
            } else {
                5
            };
            assert_eq!(running(&world, "app:1"), untouched, "{order:?} {bad}");
            // The next change goes on.
            update(&world, "app:3");
            world.pass(60 * SECOND);
            assert_eq!(running(&world, "app:3"), 6);
            is(&world, UpdateState::Completed, "update completed");
        }
    }
}

#[test]
fn an_early_end_counts_and_a_late_one_does_not() {
    for (after, state) in [(4, UpdateState::Paused), (6, UpdateState::Updating)] {
        let mut world = begin(rules(|c| c.delay = 100 * SECOND));
        update(&world, "app:2");
        world.pass(after * SECOND);
        let new = world
            .running("web")
            .into_iter()
            .find(|t| image(t) == "app:2");
        world.report(&new.unwrap(), TaskState::Failed);
        world.settle();
        assert_eq!(status(&world).0, state);
        assert_eq!(running(&world, "app:2"), 1);
    }
}

#[test]
fn a_failure_is_taken_back() {
    for order in [UpdateOrder::StopFirst, UpdateOrder::StartFirst] {
        let mut world = begin(rules(|c| {
            c.failure_action = FailureAction::Rollback;
            c.order = order;
        }));
        update(&world, "crash:2");
        world.pass(60 * SECOND);
        is(&world, UpdateState::RollbackCompleted, "rollback completed");
        assert_eq!(running(&world, "app:1"), 6);
        // Five were never touched.
        assert_eq!(
            world
                .running("web")
                .iter()
                .filter(|t| t.spec_version == 0)
                .count(),
            match order {
                UpdateOrder::StopFirst => 5,
                UpdateOrder::StartFirst => 6,
            }
        );
        assert_eq!(world.service("web").previous, None);
    }
}

#[test]
fn a_rollback_that_fails_is_paused() {
    let mut world = begin(rules(|c| c.failure_action = FailureAction::Rollback));
    // What worked does not any more.
    world.starts = |_| TaskState::Failed;
    update(&world, "app:2");
    world.pass(100 * SECOND);
    is(
        &world,
        UpdateState::RollbackPaused,
        "rollback paused due to failure or early termination of task ",
    );
    assert_eq!(running(&world, "app:1"), 5);
}

#[test]
fn a_part_may_fail() {
    for (ratio, state) in [(0.3, UpdateState::Paused), (0.4, UpdateState::Completed)] {
        let mut world = begin(rules(|c| c.max_failure_ratio = ratio));
        update(&world, "app:2");
        // Of six, two end early.
        for _ in 0..2 {
            world.loops();
            while running(&world, "app:2") == 0 {
                world.loops();
                world.nodes();
            }
            let new = world.running("web").into_iter();
            let mut new = new.filter(|t| {
                image(t) == "app:2"
                    && t.past
                        .as_ref()
                        .is_some_and(|p| p.update == swarm_api::UpdatePart::Made)
            });
            world.report(&new.next().unwrap(), TaskState::Failed);
        }
        world.pass(100 * SECOND);
        assert_eq!(status(&world).0, state, "{ratio}");
    }
}

#[test]
fn a_failure_may_be_ignored() {
    for order in [UpdateOrder::StopFirst, UpdateOrder::StartFirst] {
        let mut world = begin(rules(|c| {
            c.failure_action = FailureAction::Continue;
            c.order = order;
        }));
        update(&world, "crash:2");
        world.pass(100 * SECOND);
        match order {
            UpdateOrder::StopFirst => {
                is(&world, UpdateState::Completed, "update completed");
                assert_eq!(world.running("web").len(), 0);
            }
            // Old tasks run on, and new ones are tried again and again.
            UpdateOrder::StartFirst => {
                is(&world, UpdateState::Updating, "update in progress");
                assert_eq!(running(&world, "app:1"), 6);
            }
        }
        world.starts = |_| TaskState::Running;
        world.pass(100 * SECOND);
        assert_eq!(running(&world, "crash:2"), 6);
        is(&world, UpdateState::Completed, "update completed");
    }
}

#[test]
fn a_change_during_an_update_begins_another() {
    let mut world = begin(rules(|c| c.delay = 10 * SECOND));
    update(&world, "app:2");
    world.pass(15 * SECOND);
    assert_eq!(running(&world, "app:2"), 2);
    update(&world, "app:3");
    world.pass(5 * SECOND);
    assert_eq!((running(&world, "app:2"), running(&world, "app:3")), (1, 1));
    // Back to what most of them still are: those are not touched.
    update(&world, "app:1");
    world.pass(40 * SECOND);
    assert_eq!(running(&world, "app:1"), 6);
    is(&world, UpdateState::Completed, "update completed");
    assert_eq!(
        world
            .running("web")
            .iter()
            .filter(|t| t.spec_version == 0)
            .count(),
        4
    );
}

#[test]
fn only_what_matters_replaces_tasks() {
    let mut world = begin(None);
    let ids = |world: &World| {
        let tasks = world.running("web").into_iter();
        tasks.map(|t| t.id).collect::<Vec<_>>()
    };
    let before = ids(&world);
    world.wish("web", |spec| {
        scale(spec, 7);
        spec.labels.insert("a".into(), "b".into());
        spec.update_config = rules(|c| c.delay = SECOND);
    });
    world.pass(60 * SECOND);
    assert_eq!(world.running("web").len(), 7);
    assert!(before.iter().all(|id| ids(&world).contains(id)));
    assert_eq!(world.service("web").update, None);
    world.wish("web", |spec| spec.task_template.force_update += 1);
    world.pass(60 * SECOND);
    assert!(!before.iter().any(|id| ids(&world).contains(id)));
}

#[test]
fn a_rollback_by_hand() {
    let mut world = begin(None);
    update(&world, "app:2");
    world.pass(60 * SECOND);
    let mut service = world.service("web");
    assert!(service.roll_back("manually requested rollback", world.now));
    world.put(service);
    world.settle();
    world.pass(60 * SECOND);
    is(&world, UpdateState::RollbackCompleted, "rollback completed");
    assert_eq!(running(&world, "app:1"), 6);
    let mut service = world.service("web");
    assert!(!service.roll_back("", world.now));
}
