//! What breaks, and what users want.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::Tables;
use swarm_api::{Change, Cluster, Id, Node, Object, Service, Time};
use types::swarm::node::{Availability, NodeDescription, NodeSpec, NodeState};
use types::swarm::service::{
    Empty, EndpointSpec, PortConfig, PublishMode, Replicated, ServiceMode, ServiceSpec,
    UpdateConfig, UpdateOrder,
};
use types::swarm::task::{
    ContainerSpec, Placement, PlacementPreference, ResourceRequirements, Resources, Spread,
    TaskSpec,
};

use crate::agent::{Agent, Link};
use crate::world::{MILLI, SECOND, What, World, up_to};

/// How large a world is.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub nodes: u64,
    pub tasks: u64,
    pub hours: u64,
}

/// What users were told that it is so.
#[derive(Debug, Default)]
pub struct Users {
    services: BTreeMap<Id, Arc<ServiceSpec>>,
    made: u64,
}

impl Users {
    /// Every wish that was acknowledged is kept.
    pub fn check(&self, view: &Tables) {
        for (id, spec) in &self.services {
            let service = view.service(id.as_str());
            let kept = service.is_some_and(|s| Arc::ptr_eq(&s.spec, spec) || s.spec == *spec);
            assert!(kept, "the wish of {} is lost", spec.name);
        }
    }
}

pub fn description() -> Arc<NodeDescription> {
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
pub fn begin(world: &mut World) {
    let cluster = Cluster {
        id: "cluster".into(),
        ..Cluster::default()
    };
    world.commit(vec![Change::put(cluster)]);
    for _ in 0..world.scale.nodes {
        add_node(world);
    }
    for _ in 0..services(world) {
        create(world);
    }
}

/// How many services there are at the most.
fn services(world: &World) -> u64 {
    (world.scale.tasks / 50).clamp(8, 200)
}

fn pick(world: &mut World, below: u64) -> u64 {
    world.random.number() % below.max(1)
}

fn pick_of<T: Clone>(world: &mut World, of: &[T]) -> Option<T> {
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

fn template(world: &mut World) -> TaskSpec {
    let image = format!("image:{}", pick(world, 5));
    let mut placement = Placement::default();
    match pick(world, 6) {
        0 => placement.constraints = vec!["node.labels.zone!=c".to_owned()],
        1 => {
            let spread_descriptor = "node.labels.zone".to_owned();
            placement.preferences = vec![PlacementPreference {
                spread: Some(Spread { spread_descriptor }),
            }];
        }
        _ => {}
    }
    TaskSpec {
        container_spec: Some(ContainerSpec {
            image,
            ..ContainerSpec::default()
        }),
        placement: Some(placement),
        resources: Some(ResourceRequirements {
            reservations: Some(Resources {
                nano_cpus: i64::try_from(pick(world, 2)).expect("small"),
                memory_bytes: i64::try_from(1 + pick(world, 4)).expect("small"),
                generic_resources: Vec::new(),
            }),
            limits: None,
        }),
        force_update: world.users.made,
        ..TaskSpec::default()
    }
}

/// About as many tasks as there should be, over all services.
fn replicas(world: &mut World) -> u64 {
    let most = 2 * world.scale.tasks / services(world);
    pick(world, most + 1)
}

fn create(world: &mut World) {
    world.users.made += 1;
    let name = format!("service{}", world.users.made);
    let mut spec = ServiceSpec {
        name,
        task_template: template(world),
        ..ServiceSpec::default()
    };
    let order = match pick(world, 2) {
        0 => UpdateOrder::StartFirst,
        _ => UpdateOrder::StopFirst,
    };
    spec.update_config = Some(UpdateConfig {
        parallelism: pick(world, 4),
        order,
        // All of it counts as well: what fails here fails by chance.
        max_failure_ratio: 1.0,
        ..UpdateConfig::default()
    });
    let mut replicas = replicas(world);
    if pick(world, 8) == 0 {
        spec.mode = ServiceMode {
            global: Some(Empty {}),
            ..ServiceMode::default()
        };
        spec.task_template.placement = None;
    } else {
        let small = 1 + world.scale.nodes / 4;
        match pick(world, 5) {
            0 => {
                let port = PortConfig {
                    target_port: 80,
                    published_port: u16::try_from(10_000 + world.users.made % 20_000).expect("small"),
                    publish_mode: PublishMode::Host,
                    ..PortConfig::default()
                };
                spec.endpoint_spec = Some(EndpointSpec {
                    ports: vec![port],
                    ..EndpointSpec::default()
                });
                replicas = replicas.min(small);
            }
            1 => {
                if let Some(placement) = &mut spec.task_template.placement {
                    placement.max_replicas = 1;
                    placement.constraints.clear();
                }
                replicas = replicas.min(small);
            }
            2 => {
                let port = PortConfig {
                    target_port: 80,
                    ..PortConfig::default()
                };
                spec.endpoint_spec = Some(EndpointSpec {
                    ports: vec![port],
                    ..EndpointSpec::default()
                });
            }
            _ => {}
        }
        spec.mode = mode(replicas);
    }
    let service = Service {
        id: world.random.id(),
        spec: Arc::new(spec),
        ..Service::default()
    };
    world.users.services.insert(service.id.clone(), service.spec.clone());
    world.commit(vec![Change::put(service)]);
}

fn mode(replicas: u64) -> ServiceMode {
    ServiceMode {
        replicated: Some(Replicated {
            replicas: Some(replicas),
        }),
        ..ServiceMode::default()
    }
}

/// Something happens.
pub fn happen(world: &mut World) {
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
        7 if (world.users.services.len() as u64) < services(world) => create(world),
        8 => change_service(world, true),
        9 => change_service(world, false),
        10 if rare < 20 => remove_service(world),
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
    let most = [SECOND, 10 * SECOND, 60 * SECOND, 3600 * SECOND, 30 * 3600 * SECOND];
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
pub fn heal_one(world: &mut World, id: &Id) {
    let Some(agent) = world.agents.get_mut(id).filter(|a| a.link != Link::Up) else {
        return;
    };
    agent.link = Link::Up;
    let span = up_to(&mut world.random, 500 * MILLI);
    world.after(span, What::Connect(id.clone()));
}

/// All is healed, and all nodes take tasks.
pub fn heal(world: &mut World) {
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
        Arc::make_mut(&mut node.spec).labels.insert("zone".into(), "a".into());
        world.commit(vec![Change::put(node)]);
    }
}

fn remove_node(world: &mut World) {
    let down: Vec<_> = {
        let view = world.store.view();
        view.nodes().filter(|n| n.state == NodeState::Down).cloned().collect()
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

fn change_service(world: &mut World, scales: bool) {
    let all: Vec<_> = world.users.services.keys().cloned().collect();
    let service = pick_of(world, &all).and_then(|id| world.store.view().service(id.as_str()).cloned());
    let Some(service) = service else {
        return;
    };
    world.counts.wishes += 1;
    world.users.made += 1;
    let mut service = Service::clone(&service);
    let mut spec = ServiceSpec::clone(&service.spec);
    let limited = spec.endpoint_spec.is_some()
        || spec.task_template.placement.as_ref().is_some_and(|p| p.max_replicas > 0);
    if scales && !service.is_global() {
        let mut replicas = replicas(world);
        if limited {
            replicas = replicas.min(1 + world.scale.nodes / 4);
        }
        spec.mode = mode(replicas);
    } else {
        let placement = spec.task_template.placement.clone();
        spec.task_template = template(world);
        spec.task_template.placement = placement;
    }
    let now = world.now();
    service.wish(Arc::new(spec), now);
    world.users.services.insert(service.id.clone(), service.spec.clone());
    world.commit(vec![Change::put(service)]);
}

fn remove_service(world: &mut World) {
    let all: Vec<_> = world.users.services.keys().cloned().collect();
    let service = pick_of(world, &all).and_then(|id| world.store.view().service(id.as_str()).cloned());
    let Some(service) = service else {
        return;
    };
    world.users.services.remove(&service.id);
    if pick(world, 2) == 0 {
        world.commit(vec![Change::remove(&Object::Service(service))]);
        return;
    }
    let mut service = Service::clone(&service);
    service.removing = true;
    world.commit(vec![Change::put(service)]);
}
