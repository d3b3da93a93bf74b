//! What many tasks say alike is kept once.
//!
//! In the manager that makes them, the tasks of one service share their wish; those that were read from
//! the log or a snapshot would each have a copy.

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_api::{Change, Id, Object, Task};

/// Gives a task the parts of another one that are the same.
fn share(task: &mut Arc<Task>, other: &Task) {
    fn one<T: PartialEq + ?Sized>(mine: &Arc<T>, other: &Arc<T>) -> bool {
        !Arc::ptr_eq(mine, other) && mine == other
    }
    let spec = one(&task.spec, &other.spec);
    let labels = one(&task.labels, &other.labels);
    let ports = one(&task.ports, &other.ports);
    let name = one(&task.service_name, &other.service_name);
    if !(spec || labels || ports || name) {
        return;
    }
    let task = Arc::make_mut(task);
    if spec {
        task.spec = other.spec.clone();
    }
    if labels {
        task.labels = other.labels.clone();
    }
    if ports {
        task.ports = other.ports.clone();
    }
    if name {
        task.service_name = other.service_name.clone();
    }
}

/// The last task of each service that was seen.
#[derive(Default)]
pub(crate) struct Seen(BTreeMap<Id, Arc<Task>>);

impl Seen {
    /// Lets an object share with one seen before.
    pub(crate) fn object(&mut self, object: &mut Object) {
        let Object::Task(task) = object else { return };
        if let Some(other) = self.0.get(&task.service) {
            share(task, other);
        }
        self.0.insert(task.service.clone(), task.clone());
    }
}

/// Lets changes share with what is in the tables, and with one another.
pub(crate) fn changes(tables: &store::Tables, changes: &mut [Change]) {
    let mut seen = Seen::default();
    for change in changes {
        let Change::Put(object) = change else {
            continue;
        };
        if let Object::Task(task) = &*object
            && !seen.0.contains_key(&task.service)
        {
            let mut others = tables.tasks_of_service(task.service.as_str());
            let other = tables.task(task.id.as_str()).or_else(|| others.next());
            if let Some(other) = other {
                seen.0.insert(task.service.clone(), other.clone());
            }
        }
        seen.object(object);
    }
}
