//! What ends is removed in time.

use std::sync::Arc;

use swarm_api::{Cluster, Object};
use types::swarm::cluster::SwarmSpec;
use types::swarm::node::NodeState;
use types::swarm::task::TaskState;

use super::world;
use crate::testing::{SECOND, World, replicated};

fn limit(world: &World, limit: i64) {
    let mut cluster = Cluster::clone(world.store.view().cluster().unwrap());
    let mut spec = SwarmSpec::default();
    spec.orchestration.task_history_retention_limit = Some(limit);
    cluster.spec = Arc::new(spec);
    world.put(cluster);
}

fn fail(world: &mut World, times: usize) {
    for _ in 0..times {
        world.pass(10 * SECOND);
        let task = world.at("web", 1);
        world.report(&task, TaskState::Failed);
    }
    world.pass(10 * SECOND);
}

#[test]
fn history_is_kept_up_to_the_limit() {
    let mut world = world(1);
    world.serve("web", replicated("app", 1));
    fail(&mut world, 8);
    assert_eq!(world.tasks("web").len(), 5);
    limit(&world, 2);
    world.settle();
    assert_eq!(world.tasks("web").len(), 2);
    limit(&world, -1);
    fail(&mut world, 8);
    assert_eq!(world.tasks("web").len(), 10);
    limit(&world, 0);
    world.settle();
    assert_eq!(world.tasks("web").len(), 1);
    assert_eq!(world.running("web").len(), 1);
}

#[test]
fn a_service_goes_with_its_tasks() {
    for at_once in [true, false] {
        let mut world = world(2);
        world.serve("web", replicated("app", 4));
        world.settle();
        world.holds_stops = true;
        let mut service = world.service("web");
        if at_once {
            world.remove(&Object::Service(Arc::new(service)));
        } else {
            service.removing = true;
            world.put(service);
        }
        world.settle();
        let tasks = world.tasks("web");
        assert_eq!(tasks.len(), 4);
        assert!(tasks.iter().all(|t| t.desired == TaskState::Remove));
        world.holds_stops = false;
        world.settle();
        assert_eq!(world.tasks("web").len(), 0);
        assert!(world.store.view().service("web").is_none());
    }
}

#[test]
fn a_lost_nodes_tasks_are_not_waited_for() {
    let mut world = world(2);
    world.serve("web", replicated("app", 4));
    world.settle();
    world.state("n1", NodeState::Down);
    world.settle();
    world.remove(&Object::Service(Arc::new(world.service("web"))));
    world.settle();
    // Those that the old node was told to shut down are to be removed, too.
    assert_eq!(world.tasks("web").len(), 0);
}
