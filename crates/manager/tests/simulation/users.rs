//! What users want: services that come, change and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::Tables;
use swarm_api::{Change, Id, Object, Service};
use types::swarm::service::{
    Empty, EndpointSpec, PortConfig, PublishMode, Replicated, ServiceMode, ServiceSpec,
    UpdateConfig, UpdateOrder,
};
use types::swarm::task::{
    ContainerSpec, Placement, PlacementPreference, ResourceRequirements, Resources, Spread,
    TaskSpec,
};

use crate::chaos::{pick, pick_of};
use crate::world::World;

/// What users were told that it is so.
#[derive(Debug, Default)]
pub(crate) struct Users {
    pub(crate) services: BTreeMap<Id, Arc<ServiceSpec>>,
    made: u64,
}

impl Users {
    /// Every wish that was acknowledged is kept.
    pub(crate) fn check(&self, view: &Tables) {
        for (id, spec) in &self.services {
            let service = view.service(id.as_str());
            let kept = service.is_some_and(|s| Arc::ptr_eq(&s.spec, spec) || s.spec == *spec);
            assert!(kept, "the wish of {} is lost", spec.name);
        }
    }
}

/// How many services there are at the most.
pub(crate) fn services(world: &World) -> u64 {
    (world.scale.tasks / 50).clamp(8, 200)
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

pub(crate) fn create(world: &mut World) {
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
                    published_port: u16::try_from(10_000 + world.users.made % 20_000)
                        .expect("small"),
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
    world
        .users
        .services
        .insert(service.id.clone(), service.spec.clone());
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

pub(crate) fn change_service(world: &mut World, scales: bool) {
    let all: Vec<_> = world.users.services.keys().cloned().collect();
    let service =
        pick_of(world, &all).and_then(|id| world.store.view().service(id.as_str()).cloned());
    let Some(service) = service else {
        return;
    };
    world.counts.wishes += 1;
    world.users.made += 1;
    let mut service = Service::clone(&service);
    let mut spec = ServiceSpec::clone(&service.spec);
    let limited = spec.endpoint_spec.is_some()
        || spec
            .task_template
            .placement
            .as_ref()
            .is_some_and(|p| p.max_replicas > 0);
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
    world
        .users
        .services
        .insert(service.id.clone(), service.spec.clone());
    world.commit(vec![Change::put(service)]);
}

pub(crate) fn remove_service(world: &mut World) {
    let all: Vec<_> = world.users.services.keys().cloned().collect();
    let service =
        pick_of(world, &all).and_then(|id| world.store.view().service(id.as_str()).cloned());
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
