//! Global services: one task on each node that fits.

use types::swarm::node::{Availability, NodeState};
use types::swarm::service::{Empty, ServiceMode, ServiceSpec, UpdateState};
use types::swarm::task::{Placement, TaskState};

use super::world;
use crate::testing::{SECOND, World, image, replicated, set_image};

fn everywhere(image: &str) -> ServiceSpec {
    ServiceSpec {
        mode: ServiceMode {
            global: Some(Empty {}),
            ..ServiceMode::default()
        },
        ..replicated(image, 1)
    }
}

/// The nodes where it runs, without their `n`.
fn nodes(world: &World) -> String {
    let tasks = world.running("log").into_iter();
    tasks.map(|t| t.node.as_str()[1..].to_owned()).collect()
}

#[test]
fn each_node_that_takes_tasks_has_one() {
    let mut world = world(3);
    world.availability("n2", Availability::Pause);
    world.serve("log", everywhere("app:1"));
    world.settle();
    assert_eq!(nodes(&world), "13");
    world.availability("n2", Availability::Active);
    world.settle();
    assert_eq!(nodes(&world), "123");
    world.state("n1", NodeState::Down);
    world.availability("n3", Availability::Drain);
    world.settle();
    assert_eq!(nodes(&world), "2");
    world.state("n1", NodeState::Ready);
    world.availability("n3", Availability::Active);
    world.settle();
    assert_eq!(nodes(&world), "123");
    // A node of which is not known yet how it is keeps its task.
    world.state("n1", NodeState::Unknown);
    world.settle();
    assert_eq!(nodes(&world), "123");
}

#[test]
fn labels_decide() {
    let mut world = world(3);
    let mut spec = everywhere("app:1");
    spec.task_template.placement = Some(Placement {
        constraints: vec!["node.labels.disk==ssd".into()],
        ..Placement::default()
    });
    world.serve("log", spec);
    world.settle();
    assert_eq!(nodes(&world), "");
    let label = |world: &World, node: &str, value: &str| {
        world.node(node, |_, spec| {
            spec.labels.insert("disk".into(), value.into());
        });
    };
    label(&world, "n1", "ssd");
    label(&world, "n2", "SSD");
    world.settle();
    assert_eq!(nodes(&world), "12");
    label(&world, "n1", "hdd");
    world.settle();
    assert_eq!(nodes(&world), "2");
    world.wish("log", |spec| {
        let placement = spec.task_template.placement.as_mut().unwrap();
        placement.constraints = vec!["node.labels.disk!=ssd".into()];
    });
    world.settle();
    assert_eq!(nodes(&world), "13");
}

#[test]
fn what_ends_is_replaced_in_its_place_and_not_where_the_node_is_paused() {
    let mut world = world(2);
    world.serve("log", everywhere("app:1"));
    world.settle();
    world.availability("n2", Availability::Pause);
    for task in world.running("log") {
        world.report(&task, TaskState::Failed);
    }
    world.settle();
    assert_eq!(nodes(&world), "1");
    world.availability("n2", Availability::Active);
    world.settle();
    assert_eq!(nodes(&world), "12");
}

#[test]
fn a_node_that_comes_back_ends_the_old_task_before_the_new_one_runs() {
    let mut world = world(1);
    world.serve("log", everywhere("app:1"));
    world.settle();
    world.holds_stops = true;
    world.availability("n1", Availability::Drain);
    world.settle();
    world.availability("n1", Availability::Active);
    world.settle();
    let states = |world: &World| {
        let tasks = world.tasks("log").into_iter();
        tasks.map(|t| t.status.state).collect::<Vec<_>>()
    };
    assert_eq!(states(&world), [TaskState::Running, TaskState::Ready]);
    world.holds_stops = false;
    world.settle();
    assert_eq!(states(&world), [TaskState::Shutdown, TaskState::Running]);
}

#[test]
fn updates_pass_by_what_is_paused() {
    let mut world = world(3);
    world.serve("log", everywhere("app:1"));
    world.settle();
    world.availability("n2", Availability::Pause);
    world.wish("log", |spec| set_image(spec, "app:2"));
    let new = |world: &World| {
        let tasks = world.running("log").into_iter();
        tasks.filter(|t| image(t) == "app:2").count()
    };
    world.settle();
    assert_eq!(new(&world), 2);
    world.pass(60 * SECOND);
    assert_eq!(nodes(&world), "123");
    let update = world.service("log").update.unwrap();
    assert_eq!(update.state, UpdateState::Completed);
    world.availability("n2", Availability::Active);
    world.pass(60 * SECOND);
    assert_eq!(new(&world), 3);
}
