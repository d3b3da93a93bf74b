//! The allocator: gives services their published ports, and their new tasks what was given.
//!
//! A port of mode `ingress` is open on every node, so it is one service's alone in the cluster; a number that
//! the user leaves open is found between 30000 and 32767. A new task waits for its service's ports, then for
//! a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use store::{Heard, Tables};
use swarm_api::{Change, Id, Object, Service, Task, Time};
use types::swarm::service::{PortConfig, Protocol, PublishMode, ServiceSpec};
use types::swarm::task::TaskState;

use crate::plan::{Loop, Plan, Turn};

/// Where numbers are found for ports that are left open.
const DYNAMIC: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// Why a service's ports cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another service has one.
    #[error("port '{port}' is already in use by service '{name}' ({service}) as {}", how(*.mode))]
    InUse {
        /// The port.
        port: u16,
        /// The other service's name.
        name: String,
        /// The other service.
        service: Id,
        /// As what it has the port.
        mode: PublishMode,
    },
    /// The service wants one twice.
    #[error("EndpointSpec: duplicate published ports provided")]
    Twice,
    /// All numbers that could be found are taken.
    #[error("no free {} port between 30000 and 32767", .0.word())]
    NoneFree(Protocol),
}

fn how(mode: PublishMode) -> &'static str {
    match mode {
        PublishMode::Ingress => "an ingress port",
        PublishMode::Host => "a host-published port",
    }
}

/// The ports that a wish asks for.
fn wanted(spec: &ServiceSpec) -> &[PortConfig] {
    spec.endpoint_spec.as_ref().map_or(&[], |e| &e.ports)
}

/// Whether a wish's ports can be had beside those of the other services; `own` is the service itself, where it
/// is there already. What the control API asks before it takes a wish.
///
/// # Errors
/// With the first port that cannot.
pub fn check_ports(tables: &Tables, own: Option<&Id>, spec: &ServiceSpec) -> Result<(), Error> {
    let ports = wanted(spec).iter().filter(|p| p.published_port != 0);
    let mut seen = BTreeSet::new();
    for port in ports.clone() {
        if !seen.insert((port.protocol, port.published_port)) {
            return Err(Error::Twice);
        }
    }
    let ports: BTreeMap<_, _> = ports
        .map(|p| ((p.protocol, p.published_port), p.publish_mode))
        .collect();
    if ports.is_empty() {
        return Ok(());
    }
    let others = tables
        .services()
        .filter(|s| Some(&s.id) != own && !s.removing);
    for other in others {
        for port in wanted(&other.spec).iter().chain(other.ports.iter()) {
            let mode = ports.get(&(port.protocol, port.published_port));
            // Ports of mode `host` meet on one node at most: the scheduler keeps them apart.
            let clash = |mode: &PublishMode| {
                *mode == PublishMode::Ingress || port.publish_mode == PublishMode::Ingress
            };
            if mode.is_some_and(clash) {
                return Err(Error::InUse {
                    port: port.published_port,
                    name: other.spec.name.clone(),
                    service: other.id.clone(),
                    mode: port.publish_mode,
                });
            }
        }
    }
    Ok(())
}

/// Whether a service's ports are those that it wishes.
fn is_allocated(service: &Service) -> bool {
    let wanted = wanted(&service.spec);
    wanted.len() == service.ports.len()
        && wanted
            .iter()
            .zip(service.ports.iter())
            .all(|(wanted, has)| answers(wanted, has))
}

/// Whether `has` is what `wanted` asks for, with its number.
fn answers(wanted: &PortConfig, has: &PortConfig) -> bool {
    let open = wanted.published_port == 0 && wanted.publish_mode == PublishMode::Ingress;
    let mut wanted = wanted.clone();
    if open {
        wanted.published_port = has.published_port;
    }
    wanted == *has && (!open || DYNAMIC.contains(&has.published_port))
}

/// Gives services their ports, and tasks theirs.
#[derive(Debug, Default)]
pub struct Allocator {
    /// Ports of mode `ingress`, by whose they are.
    taken: BTreeMap<(Protocol, u16), Id>,
    /// Services whose ports cannot be had now, and why.
    without: BTreeMap<Id, Arc<str>>,
}

impl Loop for Allocator {
    fn name(&self) -> &'static str {
        "allocator"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan {
        let tables = turn.tables;
        let mut plan = Plan::default();
        let mut services = BTreeSet::new();
        let mut tasks = BTreeSet::new();
        match turn.heard {
            Heard::Everything => {
                services.extend(tables.services().map(|s| s.id.clone()));
                tasks.extend(tables.tasks().filter(|t| waits(t)).map(|t| t.id.clone()));
            }
            Heard::Events(events) => {
                for event in events {
                    match event.new.as_ref().or(event.old.as_ref()) {
                        Some(Object::Service(it)) => drop(services.insert(it.id.clone())),
                        Some(Object::Task(it)) => drop(tasks.insert(it.id.clone())),
                        _ => {}
                    }
                }
            }
        }
        let mut ready = BTreeMap::new();
        if !services.is_empty() {
            self.count(tables);
            // What was refused before may be free now.
            services.extend(std::mem::take(&mut self.without).into_keys());
            for id in &services {
                let Some(service) = tables.service(id.as_str()).filter(|s| !s.removing) else {
                    continue;
                };
                if is_allocated(service) {
                    continue;
                }
                match self.allocate(tables, service) {
                    Ok(ports) => {
                        let mut service = Service::clone(service);
                        service.ports = ports.into();
                        service.meta.updated = turn.now;
                        ready.insert(service.id.clone(), service.ports.clone());
                        plan.changes.push(Change::put(service));
                    }
                    Err(error) => {
                        tracing::warn!(service = %service.spec.name, %error, "ports");
                        let why = error.to_string().into();
                        self.without.insert(service.id.clone(), why);
                    }
                }
            }
            let of = services
                .iter()
                .flat_map(|id| tables.tasks_of_service(id.as_str()));
            tasks.extend(of.filter(|t| waits(t)).map(|t| t.id.clone()));
        }
        for id in tasks {
            let Some(task) = tables.task(id.as_str()).filter(|t| waits(t)) else {
                continue;
            };
            let Some(service) = tables.service(task.service.as_str()) else {
                continue;
            };
            // Ports that are only planned are waited for: that plan may be refused.
            if is_allocated(service) && !ready.contains_key(&service.id) {
                plan.changes
                    .push(Change::put(pending(task, &service.ports, turn.now)));
            } else if let Some(why) = self.without.get(&service.id)
                && task.status.error != *why
            {
                let mut task = Task::clone(task);
                task.status.error = why.clone();
                task.meta.updated = turn.now;
                plan.changes.push(Change::put(task));
            }
        }
        plan
    }
}

/// A task that this loop moves on.
fn waits(task: &Task) -> bool {
    task.status.state < TaskState::Pending && task.is_wanted()
}

fn pending(task: &Task, ports: &Arc<[PortConfig]>, now: Time) -> Task {
    let mut task = task.clone();
    task.ports = ports.clone();
    task.status.state = TaskState::Pending;
    task.status.message = "pending task scheduling".into();
    task.status.error = "".into();
    task.status.time = now;
    task.status.heard = now;
    task.meta.updated = now;
    task
}

impl Allocator {
    /// Whose ports are whose, by the tables. A number that a user named and nobody has yet is its service's, so
    /// that none is found that clashes.
    fn count(&mut self, tables: &Tables) {
        self.taken.clear();
        let services = || tables.services().filter(|s| !s.removing);
        let ingress =
            |p: &&PortConfig| p.publish_mode == PublishMode::Ingress && p.published_port != 0;
        for service in services() {
            for port in service.ports.iter().filter(ingress) {
                let port = (port.protocol, port.published_port);
                self.taken.entry(port).or_insert_with(|| service.id.clone());
            }
        }
        for service in services() {
            for port in wanted(&service.spec).iter().filter(ingress) {
                let port = (port.protocol, port.published_port);
                self.taken.entry(port).or_insert_with(|| service.id.clone());
            }
        }
    }

    /// A service's ports, with the numbers that it has already where it can keep them.
    fn allocate(&mut self, tables: &Tables, service: &Service) -> Result<Vec<PortConfig>, Error> {
        let mut had: Vec<_> = service.ports.to_vec();
        let mut ports = Vec::new();
        for wanted in wanted(&service.spec) {
            let mut port = wanted.clone();
            if port.publish_mode == PublishMode::Ingress && port.published_port == 0 {
                let kept = had.iter().position(|had| answers(wanted, had));
                port.published_port = match kept {
                    Some(kept) => had.remove(kept).published_port,
                    None => self.find(port.protocol)?,
                };
            }
            if port.publish_mode == PublishMode::Ingress {
                let key = (port.protocol, port.published_port);
                let owner = self.taken.entry(key).or_insert_with(|| service.id.clone());
                if *owner != service.id {
                    return Err(Error::InUse {
                        port: port.published_port,
                        name: tables
                            .service(owner.as_str())
                            .map_or_else(String::new, |s| s.spec.name.clone()),
                        service: owner.clone(),
                        mode: PublishMode::Ingress,
                    });
                }
            }
            ports.push(port);
        }
        Ok(ports)
    }

    fn find(&self, protocol: Protocol) -> Result<u16, Error> {
        let free = |port: &u16| !self.taken.contains_key(&(protocol, *port));
        DYNAMIC
            .into_iter()
            .find(free)
            .ok_or(Error::NoneFree(protocol))
    }
}

#[cfg(test)]
mod tests;
