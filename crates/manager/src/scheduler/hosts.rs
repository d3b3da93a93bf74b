//! The nodes as the scheduler sees them: what is left on each, and what runs there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use swarm_api::{Id, Node, Task, Time};
use types::swarm::service::{PortConfig, Protocol, PublishMode};

use crate::room::Room;

/// How long a node is remembered to have failed a service's tasks.
const FAILURES_COUNT_FOR: Time = 5 * 60 * 1_000_000_000;
/// So many make it the last choice.
const FAILURES: u32 = 5;

/// A node.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) node: Arc<Node>,
    pub(super) room: Room,
    /// Ports of mode `host`, and how many tasks have each.
    ports: BTreeMap<(Protocol, u16), u32>,
    /// Its tasks that are there and wanted.
    total: u32,
    /// Images that it had at some time.
    images: BTreeSet<u32>,
    /// By service and version of its wish: when which task failed here.
    failures: BTreeMap<(Id, u64), Vec<(Time, Id)>>,
}

/// How good a choice a node is: the least is the best.
pub(super) type Rank = (u32, u32, u32, bool, usize);

/// All nodes. Each has a place that stays its own as long as it is there.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    slots: Vec<Option<Host>>,
    free: Vec<usize>,
    index: HashMap<Id, usize>,
    /// How many wanted tasks of a service are in each place.
    of_service: HashMap<Id, HashMap<usize, u32>>,
    /// Images have numbers here, as many nodes have the same.
    images: HashMap<String, u32>,
}

/// The ports that a task takes on its node.
pub(super) fn host_ports(ports: &[PortConfig]) -> impl Iterator<Item = (Protocol, u16)> {
    let fixed = |p: &&PortConfig| p.publish_mode == PublishMode::Host && p.published_port != 0;
    ports
        .iter()
        .filter(fixed)
        .map(|p| (p.protocol, p.published_port))
}

impl Host {
    pub(super) fn has_port(&self, port: (Protocol, u16)) -> bool {
        self.ports.contains_key(&port)
    }

    #[cfg(test)]
    pub(super) fn summary(&self) -> (Id, Room, BTreeMap<(Protocol, u16), u32>, u32) {
        (
            self.node.id.clone(),
            self.room.clone(),
            self.ports.clone(),
            self.total,
        )
    }

    /// How often the tasks of a wish failed here lately, once that is too often.
    fn failures(&self, of: &(Id, u64), now: Time) -> u32 {
        let Some(failures) = self.failures.get(of) else {
            return 0;
        };
        // The clock may have gone backwards since.
        let lately = failures
            .iter()
            .filter(|(at, _)| now.abs_diff(*at) < FAILURES_COUNT_FOR.unsigned_abs());
        let count = u32::try_from(lately.count()).unwrap_or(u32::MAX);
        if count < FAILURES { 0 } else { count }
    }
}

impl Hosts {
    pub(super) fn place_of(&self, node: &str) -> Option<usize> {
        self.index.get(node).copied()
    }

    pub(super) fn get(&self, place: usize) -> Option<&Host> {
        self.slots.get(place)?.as_ref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Host)> {
        let filled = |(place, slot): (usize, &'_ Option<Host>)| slot.as_ref().map(|_| place);
        let places = self.slots.iter().enumerate().filter_map(filled);
        places.filter_map(|place| Some((place, self.get(place)?)))
    }

    /// A node is new, or another than before. Answers its place, and whether it is new; what runs on it is
    /// to be counted then. One whose resources are others is counted anew, by [`Hosts::recount`].
    pub(super) fn put(&mut self, node: &Arc<Node>) -> (usize, bool) {
        if let Some(place) = self.place_of(node.id.as_str()) {
            if let Some(host) = self.slots[place].as_mut() {
                host.node = node.clone();
            }
            return (place, false);
        }
        let host = Host {
            node: node.clone(),
            room: Room::of(&node.description.resources),
            ..Host::default()
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place] = Some(host);
                place
            }
            None => {
                self.slots.push(Some(host));
                self.slots.len() - 1
            }
        };
        self.index.insert(node.id.clone(), place);
        (place, true)
    }

    /// What is left in a place, from the node's resources and the tasks that are counted there.
    pub(super) fn recount<'a>(&mut self, place: usize, tasks: impl Iterator<Item = &'a Task>) {
        let Some(host) = self.slots.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        host.room = Room::of(&host.node.description.resources);
        for task in tasks {
            host.room.take(task);
        }
    }

    /// A node is gone. Nothing is counted there any more.
    pub(super) fn remove(&mut self, node: &str) {
        if let Some(place) = self.index.remove(node) {
            self.slots[place] = None;
            self.free.push(place);
        }
    }

    /// A task takes its part of a place.
    pub(super) fn count(&mut self, place: usize, task: &Task) {
        let Some(host) = self.slots.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        host.room.take(task);
        for port in host_ports(&task.ports) {
            *host.ports.entry(port).or_default() += 1;
        }
        if task.is_wanted() {
            host.total += 1;
            let of_service = self.of_service.entry(task.service.clone()).or_default();
            *of_service.entry(place).or_default() += 1;
        }
    }

    /// A task that was counted gives its part back.
    pub(super) fn uncount(&mut self, place: usize, task: &Task) {
        let Some(host) = self.slots.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        host.room.give_back(task);
        for port in host_ports(&task.ports) {
            less(&mut host.ports, port);
        }
        if task.is_wanted() {
            host.total = host.total.saturating_sub(1);
            if let Some(of_service) = self.of_service.get_mut(&task.service) {
                if let Some(count) = of_service.get_mut(&place) {
                    *count -= 1;
                    if *count == 0 {
                        of_service.remove(&place);
                    }
                }
                if of_service.is_empty() {
                    self.of_service.remove(&task.service);
                }
            }
        }
    }

    /// How many wanted tasks of a service are in each place: found once, asked of every place.
    pub(super) fn counts(&self, service: &Id) -> Counts<'_> {
        Counts(self.of_service.get(service))
    }

    /// How many wanted tasks of a service are in a place.
    pub(super) fn tasks_of(&self, service: &Id, place: usize) -> u32 {
        self.counts(service).of(place)
    }

    /// The number of an image, once a node had it.
    pub(super) fn image(&self, name: &str) -> Option<u32> {
        self.images.get(name).copied()
    }

    /// A task's image was on its node.
    pub(super) fn saw_image(&mut self, place: usize, task: &Task) {
        let Some(container) = &task.spec.container_spec else {
            return;
        };
        let next = u32::try_from(self.images.len()).unwrap_or(u32::MAX);
        let number = match self.images.get(&container.image) {
            Some(number) => *number,
            None => *self.images.entry(container.image.clone()).or_insert(next),
        };
        if let Some(host) = self.slots.get_mut(place).and_then(Option::as_mut) {
            host.images.insert(number);
        }
    }

    /// A task failed on its node.
    pub(super) fn saw_failure(&mut self, place: usize, task: &Task) {
        let Some(host) = self.slots.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let at = task.status.heard;
        let of = (task.service.clone(), task.spec_version);
        let failures = host.failures.entry(of).or_default();
        failures.retain(|(then, id)| at - then < FAILURES_COUNT_FOR && *id != task.id);
        failures.push((at, task.id.clone()));
    }

    /// Failures that count no more are forgotten.
    pub(super) fn forget_failures(&mut self, place: usize, now: Time) {
        if let Some(host) = self.slots.get_mut(place).and_then(Option::as_mut) {
            let old = |at: Time| now.abs_diff(at) >= FAILURES_COUNT_FOR.unsigned_abs();
            host.failures.retain(|_, all| {
                all.retain(|(at, _)| !old(*at));
                !all.is_empty()
            });
        }
    }

    /// How good a place is for a task of a wish, whose image has that number, where so many of the service
    /// are already.
    pub(super) fn rank(
        &self,
        place: usize,
        tasks: u32,
        of: &(Id, u64),
        image: Option<u32>,
        now: Time,
    ) -> Rank {
        let Some(host) = self.get(place) else {
            return (u32::MAX, tasks, u32::MAX, true, place);
        };
        let without = !image.is_some_and(|image| host.images.contains(&image));
        (host.failures(of, now), tasks, host.total, without, place)
    }
}

/// How many wanted tasks of one service are in each place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts<'a>(Option<&'a HashMap<usize, u32>>);

impl Counts<'_> {
    pub(super) fn of(self, place: usize) -> u32 {
        self.0.and_then(|s| s.get(&place)).copied().unwrap_or(0)
    }
}

fn less<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}
