//! What breaks.

use std::sync::Arc;

use swarm_api::{Change, Cluster, Id, Node, Object, Time};
use types::swarm::node::{Availability, NodeDescription, NodeSpec, NodeState};
use types::swarm::task::Resources;

use crate::agent::{Agent, Link};
use crate::users;
use crate::world::{MILLI, SECOND, What, World, up_to};

/// How large a world is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) nodes: u64,
    pub(crate) tasks: u64,
    pub(crate) hours: u64,
}

pub(crate) fn description() -> Arc<NodeDescription> {
    Arc::new(NodeDescription {
        resources: Resources {
            nano_cpus: 40,
            memory_bytes: 400,
            generic_resources: Vec::new(),
        },
        ..NodeDescription::default()
    })
}

/// The first nodes and services.
pub(crate) fn begin(world: &mut World) {
    let cluster = Cluster {
        id: "cluster".into(),
        ..Cluster::default()
    };
    world.commit(vec![Change::put(cluster)]);
    for _ in 0..world.scale.nodes {
        add_node(world);
    }
    for _ in 0..users::services(world) {
        users::create(world);
    }
}

pub(crate) fn pick(world: &mut World, below: u64) -> u64 {
    world.random.number() % below.max(1)
}

pub(crate) fn pick_of<T: Clone>(world: &mut World, of: &[T]) -> Option<T> {
    let at = pick(world, of.len() as u64);
    of.get(usize::try_from(at).ok()?).cloned()
}

fn zone(world: &mut World) -> Arc<NodeSpec> {
    let zone = ["a", "b", "c"][usize::try_from(pick(world, 3)).expect("small")];
    Arc::new(NodeSpec {
        labels: [("zone".to_owned(), zone.to_owned())].into(),
        ..NodeSpec::default()
    })
}

fn add_node(world: &mut World) {
    let id = world.random.id();
    let spec = zone(world);
    let node = Node {
        id: id.clone(),
        spec,
        description: description(),
        ..Node::default()
    };
    world.commit(vec![Change::put(node)]);
    let mut agent = Agent::new();
    agent.link = Link::Up;
    world.agents.insert(id.clone(), agent);
    let span = up_to(&mut world.random, SECOND);
    world.after(span, What::Connect(id));
}

/// Something happens.
pub(crate) fn happen(world: &mut World) {
    if world.quiet {
        return;
    }
    let span = up_to(&mut world.random, 40 * SECOND);
    world.after(span, What::Chaos);
    let rare = pick(world, 100);
    match pick(world, 12) {
        0 | 1 => crash(world),
        2 | 3 => cut(world),
        4 if rare < 30 && (world.agents.len() as u64) < world.scale.nodes * 2 => add_node(world),
        5 if rare < 30 && world.agents.len() as u64 > world.scale.nodes => remove_node(world),
        6 => change_node(world),
        7 if (world.users.services.len() as u64) < users::services(world) => users::create(world),
        8 => users::change_service(world, true),
        9 => users::change_service(world, false),
        10 if rare < 20 => users::remove_service(world),
        11 if rare < 20 => {
            world.counts.leaders += 1;
            world.new_leader();
        }
        11 if rare < 25 => {
            let jump = up_to(&mut world.random, 4 * 3600 * SECOND) - 2 * 3600 * SECOND;
            world.skew += jump;
            world.wake_managers(0);
        }
        _ => {}
    }
}

fn ids(world: &World, link: Link) -> Vec<Id> {
    let linked = world.agents.iter().filter(|(_, a)| a.link == link);
    linked.map(|(id, _)| id.clone()).collect()
}

/// For how long something stays broken: mostly short, at times for long.
fn outage(world: &mut World) -> Time {
    let most = [
        SECOND,
        10 * SECOND,
        60 * SECOND,
        3600 * SECOND,
        30 * 3600 * SECOND,
    ];
    let at = pick(world, 40).min(pick(world, 40)) / 9;
    let most = most[usize::try_from(at).expect("small").min(4)];
    up_to(&mut world.random, most)
}

fn crash(world: &mut World) {
    let up = ids(world, Link::Up);
    let Some(id) = pick_of(world, &up) else {
        return;
    };
    world.counts.crashes += 1;
    if let Some(agent) = world.agents.get_mut(&id) {
        agent.crash();
    }
    world.broken(&id);
    let span = outage(world);
    world.after(span, What::Heal(id));
}

fn cut(world: &mut World) {
    let up = ids(world, Link::Up);
    let Some(id) = pick_of(world, &up) else {
        return;
    };
    world.counts.cuts += 1;
    if let Some(agent) = world.agents.get_mut(&id) {
        agent.link = Link::Cut;
        agent.connected = false;
    }
    if pick(world, 2) == 0 {
        world.broken(&id);
    }
    let span = outage(world);
    world.after(span, What::Heal(id));
}

/// A node runs, and is connected.
pub(crate) fn heal_one(world: &mut World, id: &Id) {
    let Some(agent) = world.agents.get_mut(id).filter(|a| a.link != Link::Up) else {
        return;
    };
    agent.link = Link::Up;
    let span = up_to(&mut world.random, 500 * MILLI);
    world.after(span, What::Connect(id.clone()));
}

/// All is healed, and all nodes take tasks.
pub(crate) fn heal(world: &mut World) {
    for id in world.agents.keys().cloned().collect::<Vec<_>>() {
        heal_one(world, &id);
        let node = world.store.view().node(id.as_str()).cloned();
        let Some(mut node) = node.map(|n| Node::clone(&n)) else {
            continue;
        };
        if node.spec.availability != Availability::Active {
            Arc::make_mut(&mut node.spec).availability = Availability::Active;
            world.commit(vec![Change::put(node)]);
        }
    }
    // Everybody fits somewhere.
    let first = world.agents.keys().next().cloned();
    let node = first.and_then(|id| world.store.view().node(id.as_str()).cloned());
    if let Some(node) = node {
        let mut node = Node::clone(&node);
        Arc::make_mut(&mut node.spec)
            .labels
            .insert("zone".into(), "a".into());
        world.commit(vec![Change::put(node)]);
    }
}

fn remove_node(world: &mut World) {
    let down: Vec<_> = {
        let view = world.store.view();
        view.nodes()
            .filter(|n| n.state == NodeState::Down)
            .cloned()
            .collect()
    };
    let Some(node) = pick_of(world, &down) else {
        return;
    };
    world.agents.remove(&node.id);
    world.commit(vec![Change::remove(&Object::Node(node))]);
}

fn change_node(world: &mut World) {
    let nodes: Vec<_> = world.store.view().nodes().cloned().collect();
    let Some(node) = pick_of(world, &nodes) else {
        return;
    };
    let mut node = Node::clone(&node);
    let mut spec = NodeSpec::clone(&node.spec);
    match pick(world, 5) {
        0 => spec.availability = Availability::Drain,
        1 => spec.availability = Availability::Pause,
        2 => spec.labels = zone(world).labels.clone(),
        _ => spec.availability = Availability::Active,
    }
    node.spec = Arc::new(spec);
    world.commit(vec![Change::put(node)]);
}
