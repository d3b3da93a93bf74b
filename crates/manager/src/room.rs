//! What a node has left: processors, memory, and what is of the operator's own kinds.
//!
//! Kept by whoever counts what tasks reserve; what tasks may use beyond that is not counted.

use std::collections::BTreeMap;

use swarm_api::Task;
use types::swarm::GenericResource;
use types::swarm::task::Resources;

/// What is left of a node's resources. It can be less than nothing: nodes shrink.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Room {
    cpus: i64,
    memory: i64,
    generic: BTreeMap<String, Pool>,
}

/// One of the operator's kinds on a node: things with names, or a number of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Pool {
    /// How many tasks have each.
    names: BTreeMap<String, u32>,
    number: i64,
}

/// What a task reserves.
pub(crate) fn reserved(task: &Task) -> Option<&Resources> {
    task.spec.resources.as_ref()?.reservations.as_ref()
}

impl Room {
    /// All of a node that has `resources`.
    pub(crate) fn of(resources: &Resources) -> Self {
        let mut generic = BTreeMap::<String, Pool>::new();
        for resource in &resources.generic_resources {
            match resource {
                GenericResource::Named { kind, value } => {
                    let pool = generic.entry(kind.clone()).or_default();
                    pool.names.insert(value.clone(), 0);
                }
                GenericResource::Discrete { kind, value } => {
                    let pool = generic.entry(kind.clone()).or_default();
                    pool.number = pool.number.saturating_add(*value);
                }
            }
        }
        Self {
            cpus: resources.nano_cpus,
            memory: resources.memory_bytes,
            generic,
        }
    }

    /// Whether there is room for that. What is not asked for does not matter.
    pub(crate) fn fits(&self, wanted: &Resources) -> bool {
        let enough = |wanted: i64, left: i64| wanted <= 0 || wanted <= left;
        enough(wanted.nano_cpus, self.cpus)
            && enough(wanted.memory_bytes, self.memory)
            && (wanted.generic_resources.is_empty() || self.choose(wanted).is_some())
    }

    /// What of the operator's kinds a task would be given.
    pub(crate) fn choose(&self, wanted: &Resources) -> Option<Vec<GenericResource>> {
        let mut left = self.generic.clone();
        let mut given = Vec::new();
        for resource in &wanted.generic_resources {
            match resource {
                GenericResource::Named { kind, value } => {
                    let used = left.get_mut(kind)?.names.get_mut(value)?;
                    if *used > 0 {
                        return None;
                    }
                    *used += 1;
                    given.push(resource.clone());
                }
                GenericResource::Discrete { kind, value } => {
                    let pool = left.get_mut(kind)?;
                    if pool.names.is_empty() {
                        if *value > pool.number {
                            return None;
                        }
                        pool.number -= value;
                        given.push(resource.clone());
                        continue;
                    }
                    let count = usize::try_from(*value).unwrap_or_default();
                    let free: Vec<_> = pool.names.iter_mut().filter(|n| *n.1 == 0).collect();
                    if free.len() < count {
                        return None;
                    }
                    for (name, used) in free.into_iter().take(count) {
                        *used += 1;
                        given.push(GenericResource::Named {
                            kind: kind.clone(),
                            value: name.clone(),
                        });
                    }
                }
            }
        }
        Some(given)
    }

    /// A task takes its part.
    pub(crate) fn take(&mut self, task: &Task) {
        self.change(task, -1);
    }

    /// A task's part is free again.
    pub(crate) fn give_back(&mut self, task: &Task) {
        self.change(task, 1);
    }

    fn change(&mut self, task: &Task, sign: i64) {
        if let Some(reserved) = reserved(task) {
            let by = |left: i64, part: i64| left.saturating_add(sign.saturating_mul(part.max(0)));
            self.cpus = by(self.cpus, reserved.nano_cpus);
            self.memory = by(self.memory, reserved.memory_bytes);
        }
        for resource in &task.generic {
            match resource {
                GenericResource::Named { kind, value } => {
                    let pool = self.generic.get_mut(kind);
                    // What the node says no more that it has is not counted, and does not come back.
                    if let Some(used) = pool.and_then(|p| p.names.get_mut(value)) {
                        *used = if sign < 0 {
                            used.saturating_add(1)
                        } else {
                            used.saturating_sub(1)
                        };
                    }
                }
                GenericResource::Discrete { kind, value } => {
                    if let Some(pool) = self.generic.get_mut(kind) {
                        pool.number = pool.number.saturating_add(sign.saturating_mul(*value));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::swarm::task::{ResourceRequirements, TaskSpec};

    use super::*;

    fn named(value: &str) -> GenericResource {
        GenericResource::Named {
            kind: "gpu".into(),
            value: value.into(),
        }
    }

    fn number(value: i64) -> GenericResource {
        GenericResource::Discrete {
            kind: "gpu".into(),
            value,
        }
    }

    fn resources(generic: Vec<GenericResource>) -> Resources {
        Resources {
            nano_cpus: 2,
            memory_bytes: 10,
            generic_resources: generic,
        }
    }

    fn task(generic: Vec<GenericResource>) -> Task {
        Task {
            spec: Arc::new(TaskSpec {
                resources: Some(ResourceRequirements {
                    reservations: Some(Resources {
                        nano_cpus: 1,
                        memory_bytes: 4,
                        generic_resources: Vec::new(),
                    }),
                    limits: None,
                }),
                ..TaskSpec::default()
            }),
            generic,
            ..Task::default()
        }
    }

    #[test]
    fn what_is_taken_and_given_back_is_as_before() {
        let all = Room::of(&resources(vec![named("a"), named("b")]));
        let mut room = all.clone();
        let wanted = resources(vec![number(2)]);
        let given = room.choose(&wanted).expect("two are there");
        assert_eq!(given, [named("a"), named("b")]);
        let task = task(given);
        room.take(&task);
        assert!(!room.fits(&resources(vec![number(1)])));
        assert!(!room.fits(&resources(Vec::new())), "1 processor is left");
        room.give_back(&task);
        assert_eq!(room, all);
    }

    #[test]
    fn a_shrunken_node_has_no_room_for_what_is_asked() {
        let mut room = Room::of(&Resources::default());
        room.take(&task(Vec::new()));
        assert!(!room.fits(&resources(Vec::new())));
        assert!(room.fits(&Resources::default()), "nothing is asked");
    }
}
