//! The tables, and what is found by more than its identifier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarm_api::{Change, Cluster, Config, Id, Key, Kind, Node, Object, Secret, Service, Task};

use crate::error::{Error, Result};
use crate::watch::Event;

/// All objects. Ordered, so that whoever goes through them does so in the same order everywhere.
#[derive(Debug, Default, Clone)]
pub struct Tables {
    /// The index of the last entry that was applied.
    index: u64,
    cluster: Option<Arc<Cluster>>,
    nodes: BTreeMap<Id, Arc<Node>>,
    services: BTreeMap<Id, Arc<Service>>,
    tasks: BTreeMap<Id, Arc<Task>>,
    secrets: BTreeMap<Id, Arc<Secret>>,
    configs: BTreeMap<Id, Arc<Config>>,
    service_names: BTreeMap<String, Id>,
    secret_names: BTreeMap<String, Id>,
    config_names: BTreeMap<String, Id>,
    tasks_of_service: BTreeMap<Id, BTreeSet<Id>>,
    tasks_of_node: BTreeMap<Id, BTreeSet<Id>>,
}

impl Tables {
    /// The index of the last entry that was applied.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The cluster, once there is one.
    #[must_use]
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Arc<Node>> {
        self.nodes.get(id)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// A service.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<&Arc<Service>> {
        self.services.get(id)
    }

    /// The service of a name.
    #[must_use]
    pub fn service_named(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.get(self.service_names.get(name)?)
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// A task.
    #[must_use]
    pub fn task(&self, id: &str) -> Option<&Arc<Task>> {
        self.tasks.get(id)
    }

    /// All tasks.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    /// A service's tasks, the ended ones, too.
    pub fn tasks_of_service(&self, id: &str) -> impl Iterator<Item = &Arc<Task>> {
        let ids = self.tasks_of_service.get(id).into_iter().flatten();
        ids.filter_map(|id| self.tasks.get(id))
    }

    /// A node's tasks, the ended ones, too. The empty identifier finds those that have no node.
    pub fn tasks_of_node(&self, id: &str) -> impl Iterator<Item = &Arc<Task>> {
        let ids = self.tasks_of_node.get(id).into_iter().flatten();
        ids.filter_map(|id| self.tasks.get(id))
    }

    /// A secret.
    #[must_use]
    pub fn secret(&self, id: &str) -> Option<&Arc<Secret>> {
        self.secrets.get(id)
    }

    /// The secret of a name.
    #[must_use]
    pub fn secret_named(&self, name: &str) -> Option<&Arc<Secret>> {
        self.secrets.get(self.secret_names.get(name)?)
    }

    /// All secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &Arc<Secret>> {
        self.secrets.values()
    }

    /// A config.
    #[must_use]
    pub fn config(&self, id: &str) -> Option<&Arc<Config>> {
        self.configs.get(id)
    }

    /// The config of a name.
    #[must_use]
    pub fn config_named(&self, name: &str) -> Option<&Arc<Config>> {
        self.configs.get(self.config_names.get(name)?)
    }

    /// All configs.
    pub fn configs(&self) -> impl Iterator<Item = &Arc<Config>> {
        self.configs.values()
    }

    /// Any object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Object> {
        let id = &key.id;
        match key.kind {
            Kind::Cluster => {
                let ours = self.cluster.as_ref().filter(|c| c.id == *id);
                ours.cloned().map(Object::Cluster)
            }
            Kind::Node => self.nodes.get(id).cloned().map(Object::Node),
            Kind::Service => self.services.get(id).cloned().map(Object::Service),
            Kind::Task => self.tasks.get(id).cloned().map(Object::Task),
            Kind::Secret => self.secrets.get(id).cloned().map(Object::Secret),
            Kind::Config => self.configs.get(id).cloned().map(Object::Config),
        }
    }

    /// All objects, for a snapshot.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        let cluster = self.cluster.iter().cloned().map(Object::Cluster);
        cluster
            .chain(self.nodes.values().cloned().map(Object::Node))
            .chain(self.services.values().cloned().map(Object::Service))
            .chain(self.tasks.values().cloned().map(Object::Task))
            .chain(self.secrets.values().cloned().map(Object::Secret))
            .chain(self.configs.values().cloned().map(Object::Config))
    }

    /// Tables with these objects, as a snapshot has them.
    #[must_use]
    pub fn from_objects(index: u64, objects: impl IntoIterator<Item = Object>) -> Self {
        let mut tables = Self::default();
        for object in objects {
            tables.insert(object);
        }
        tables.index = index;
        tables
    }

    /// Whether a change may be made to the tables as they are.
    pub(crate) fn check(&self, change: &Change) -> Result<()> {
        let key = change.key();
        let there = self.get(&key);
        match (&there, change.version()) {
            (None, 0) => {}
            (None, _) => return Err(Error::NotFound(key)),
            (Some(object), version) if object.meta().version != version => {
                return Err(Error::OutOfSequence(key));
            }
            _ => {}
        }
        let Change::Put(object) = change else {
            return Ok(());
        };
        if let Some((kind, name)) = name_of(object)
            && self.names(kind).get(name).is_some_and(|id| *id != key.id)
        {
            return Err(Error::NameTaken {
                kind,
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    /// Makes changes that are safe, whatever their versions are: that was decided when they were
    /// proposed.
    pub(crate) fn apply(&mut self, index: u64, changes: &[Change]) -> Vec<Event> {
        self.index = index;
        let mut events = Vec::with_capacity(changes.len());
        for change in changes {
            let (old, new) = match change {
                Change::Put(object) => {
                    let mut object = object.clone();
                    object.meta_mut().version = index;
                    (self.insert(object.clone()), Some(object))
                }
                Change::Remove { key, .. } => (self.remove(key), None),
            };
            if old.is_some() || new.is_some() {
                events.push(Event { old, new });
            }
        }
        events
    }

    fn names(&self, kind: Kind) -> &BTreeMap<String, Id> {
        match kind {
            Kind::Secret => &self.secret_names,
            Kind::Config => &self.config_names,
            _ => &self.service_names,
        }
    }

    fn names_mut(&mut self, kind: Kind) -> &mut BTreeMap<String, Id> {
        match kind {
            Kind::Secret => &mut self.secret_names,
            Kind::Config => &mut self.config_names,
            _ => &mut self.service_names,
        }
    }

    fn insert(&mut self, object: Object) -> Option<Object> {
        let old = self.remove(&object.key());
        if let Some((kind, name)) = name_of(&object) {
            let id = object.id().clone();
            self.names_mut(kind).insert(name.to_owned(), id);
        }
        match object {
            Object::Cluster(it) => self.cluster = Some(it),
            Object::Node(it) => drop(self.nodes.insert(it.id.clone(), it)),
            Object::Service(it) => drop(self.services.insert(it.id.clone(), it)),
            Object::Secret(it) => drop(self.secrets.insert(it.id.clone(), it)),
            Object::Config(it) => drop(self.configs.insert(it.id.clone(), it)),
            Object::Task(it) => {
                let of_service = self.tasks_of_service.entry(it.service.clone());
                of_service.or_default().insert(it.id.clone());
                let of_node = self.tasks_of_node.entry(it.node.clone());
                of_node.or_default().insert(it.id.clone());
                self.tasks.insert(it.id.clone(), it);
            }
        }
        old
    }

    fn remove(&mut self, key: &Key) -> Option<Object> {
        let object = self.get(key)?;
        if let Some((kind, name)) = name_of(&object) {
            self.names_mut(kind).remove(name);
        }
        match &object {
            Object::Cluster(_) => self.cluster = None,
            Object::Node(it) => drop(self.nodes.remove(&it.id)),
            Object::Service(it) => drop(self.services.remove(&it.id)),
            Object::Secret(it) => drop(self.secrets.remove(&it.id)),
            Object::Config(it) => drop(self.configs.remove(&it.id)),
            Object::Task(it) => {
                take(&mut self.tasks_of_service, &it.service, &it.id);
                take(&mut self.tasks_of_node, &it.node, &it.id);
                self.tasks.remove(&it.id);
            }
        }
        Some(object)
    }
}

/// The name by which an object is found, and which no other one of its kind may have.
fn name_of(object: &Object) -> Option<(Kind, &str)> {
    match object {
        Object::Service(it) => Some((Kind::Service, &it.spec.name)),
        Object::Secret(it) => Some((Kind::Secret, &it.spec.name)),
        Object::Config(it) => Some((Kind::Config, &it.spec.name)),
        Object::Cluster(_) | Object::Node(_) | Object::Task(_) => None,
    }
}

fn take(of: &mut BTreeMap<Id, BTreeSet<Id>>, owner: &Id, id: &Id) {
    if let Some(ids) = of.get_mut(owner) {
        ids.remove(id);
        if ids.is_empty() {
            of.remove(owner);
        }
    }
}
