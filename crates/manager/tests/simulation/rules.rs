//! What must hold at every step, and what must hold in the end.

use std::collections::BTreeMap;

use store::Tables;
use swarm_api::{Id, Service, Task};
use types::swarm::node::{Availability, NodeState};
use types::swarm::service::{PublishMode, UpdateOrder};
use types::swarm::task::TaskState;

use crate::agent::Link;
use crate::world::World;

/// After each turn of the managers.
pub(crate) fn check(world: &mut World) {
    let nodes = std::mem::take(&mut world.touched_nodes);
    let services = std::mem::take(&mut world.touched_services);
    let view = world.store.view();
    for id in &nodes {
        nothing_is_given_twice(&view, id);
        if let Some(agent) = world.agents.get(id) {
            for task in agent
                .runs
                .keys()
                .filter_map(|task| view.task(task.as_str()))
            {
                assert_eq!(task.node, *id, "task {} runs where it is not to", task.id);
            }
        }
    }
    for id in &services {
        one_task_a_slot(&view, id);
    }
    world.users.check(&view);
}

/// No node has more live tasks than it has room for.
fn nothing_is_given_twice(view: &Tables, node: &Id) {
    let Some(node) = view.node(node.as_str()) else {
        return;
    };
    let live = |t: &&std::sync::Arc<Task>| t.is_live() && t.status.state >= TaskState::Assigned;
    let (mut cpus, mut memory) = (0, 0);
    let mut ports = BTreeMap::new();
    let mut of_service = BTreeMap::<&Id, u64>::new();
    for task in view.tasks_of_node(node.id.as_str()).filter(live) {
        let reserved = task
            .spec
            .resources
            .as_ref()
            .and_then(|r| r.reservations.clone());
        let reserved = reserved.unwrap_or_default();
        cpus += reserved.nano_cpus;
        memory += reserved.memory_bytes;
        for port in task
            .ports
            .iter()
            .filter(|p| p.publish_mode == PublishMode::Host)
        {
            let before = ports.insert((port.protocol, port.published_port), &task.id);
            assert_eq!(
                before, None,
                "port {} twice on {}",
                port.published_port, node.id
            );
        }
        if task.is_wanted() {
            let count = of_service.entry(&task.service).or_default();
            *count += 1;
            let most = task.spec.placement.as_ref().map_or(0, |p| p.max_replicas);
            assert!(
                most == 0 || *count <= most,
                "{count} tasks of {} on {}",
                task.service,
                node.id
            );
        }
    }
    let has = &node.description.resources;
    assert!(
        cpus <= has.nano_cpus,
        "{cpus} processors of {} given on {}",
        has.nano_cpus,
        node.id
    );
    assert!(
        memory <= has.memory_bytes,
        "memory given twice on {}",
        node.id
    );
}

/// A slot has one task that is wanted, and one more while an update starts the new one first.
fn one_task_a_slot(view: &Tables, id: &Id) {
    let Some(service) = view.service(id.as_str()) else {
        return;
    };
    let first = |order: Option<UpdateOrder>| order == Some(UpdateOrder::StartFirst);
    let update = first(service.spec.update_config.as_ref().map(|u| u.order))
        || first(service.spec.rollback_config.as_ref().map(|u| u.order));
    let mut slots = BTreeMap::<(u64, Id), Vec<&Id>>::new();
    for task in view.tasks_of_service(id.as_str()) {
        if task.is_wanted() && task.is_live() {
            let node = if service.is_global() {
                task.node.clone()
            } else {
                Id::default()
            };
            slots.entry((task.slot, node)).or_default().push(&task.id);
        }
    }
    for (slot, tasks) in slots {
        let most = if update { 2 } else { 1 };
        assert!(
            tasks.len() <= most,
            "{} slot {slot:?} has {tasks:?}",
            service.spec.name
        );
    }
}

/// After a time of quiet all is as it was wished.
pub(crate) fn converged(world: &World) {
    let view = world.store.view();
    for service in view.services() {
        assert!(!service.removing, "{} is still there", service.spec.name);
        let wanted = wanted(&view, service);
        let tasks: Vec<_> = view
            .tasks_of_service(service.id.as_str())
            .filter(|t| t.is_wanted() && t.is_live())
            .collect();
        let state = || {
            let lines = tasks.iter().map(|t| {
                let s = &t.status;
                format!(
                    "{} slot {} on {:?}: {} of {} ({} {})",
                    t.id,
                    t.slot,
                    t.node,
                    s.state.word(),
                    t.desired.word(),
                    s.message,
                    s.error
                )
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        let running = tasks
            .iter()
            .filter(|t| t.status.state == TaskState::Running)
            .count() as u64;
        let name = &service.spec.name;
        assert_eq!(
            running,
            wanted,
            "{name} runs {running} of {wanted}, update {:?}:\n{}",
            service.update,
            state()
        );
        assert_eq!(
            tasks.len() as u64,
            wanted,
            "{name} has more tasks:\n{}",
            state()
        );
        for task in tasks {
            let run = world
                .agents
                .get(&task.node)
                .and_then(|a| a.runs.get(&task.id));
            let run = run.map(|r| r.state);
            assert_eq!(
                run,
                Some(TaskState::Running),
                "{name}: {} on {}",
                task.id,
                task.node
            );
            assert_eq!(
                task.spec_version,
                service.spec_version.min(task.spec_version)
            );
            assert_eq!(
                *task.spec, service.spec.task_template,
                "{name} runs what was wished before"
            );
        }
    }
    for (id, agent) in world.agents.iter().filter(|(_, a)| a.link == Link::Up) {
        for (task, run) in &agent.runs {
            let known = view.task(task.as_str());
            let known = known.is_some_and(|t| t.node == *id && t.status.state == run.state);
            assert!(known, "{id} has {task}, {}", run.state.word());
        }
    }
}

fn wanted(view: &Tables, service: &Service) -> u64 {
    let takes = view
        .nodes()
        .filter(|n| n.state == NodeState::Ready && n.spec.availability == Availability::Active);
    service.replicas().unwrap_or(takes.count() as u64)
}
