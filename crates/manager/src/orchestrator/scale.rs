//! Which places go when there are too many.

use std::collections::BTreeMap;

use swarm_api::Id;

use super::slot::{Place, Slot, Slots, is_running};

/// The places that go first: those where nothing runs, the highest number first; then one after the other
/// from the node that runs the most of the service, there the highest number.
pub(crate) fn surplus(slots: &Slots<'_>, count: usize) -> Vec<Place> {
    let mut on_node: BTreeMap<&Id, u64> = BTreeMap::new();
    let mut ranks: Vec<(u64, &Place)> = slots
        .iter()
        .map(|(place, slot)| match node_of(slot) {
            None => (u64::MAX, place),
            // The how-many-th of its node: to take the highest evens the nodes out.
            Some(node) => {
                let nth = on_node.entry(node).or_default();
                *nth += 1;
                (*nth, place)
            }
        })
        .collect();
    ranks.sort_by(|a, b| b.cmp(a));
    let first = ranks.into_iter().take(count);
    first.map(|(_, place)| place.clone()).collect()
}

fn node_of<'a>(slot: &Slot<'a>) -> Option<&'a Id> {
    let running = slot.wanted.iter().copied().find(|t| is_running(t))?;
    Some(&running.node)
}

/// The lowest numbers that are not among the places.
pub(crate) fn free(slots: &Slots<'_>, count: u64) -> Vec<Place> {
    let numbers = (1..).map(Place::Slot);
    let free = numbers.filter(|place| slots.get(place).is_none_or(Slot::is_bare));
    free.take(usize::try_from(count).unwrap_or(usize::MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use swarm_api::{Task, TaskStatus};
    use types::swarm::task::TaskState;

    use super::*;
    use crate::orchestrator::slot::group;

    /// One letter a slot: the node it runs on; lower case where it does not run.
    fn tasks(nodes: &str) -> Vec<Arc<Task>> {
        let task = |(slot, node): (u64, char)| Task {
            id: format!("t{slot}").into(),
            slot,
            node: node.to_ascii_lowercase().to_string().into(),
            desired: TaskState::Running,
            status: TaskStatus {
                state: match node {
                    'A'..='Z' => TaskState::Running,
                    _ => TaskState::Starting,
                },
                ..TaskStatus::default()
            },
            ..Task::default()
        };
        (1..).zip(nodes.chars()).map(task).map(Arc::new).collect()
    }

    fn numbers(places: &[Place]) -> Vec<u64> {
        let number = |place: &Place| match place {
            Place::Slot(number) => *number,
            Place::Node(_) => 0,
        };
        places.iter().map(number).collect()
    }

    #[test]
    fn golden() {
        for (nodes, count, gone) in [
            ("ABC", 1, &[3][..]),
            ("AAABC", 2, &[3, 2]),
            ("AABBC", 2, &[4, 2]),
            ("AABBC", 3, &[4, 2, 5]),
            ("AbAcA", 3, &[4, 2, 5]),
            ("abAB", 2, &[2, 1]),
            ("AAAAB", 3, &[4, 3, 2]),
            ("A", 0, &[]),
            ("AB", 2, &[2, 1]),
        ] {
            let tasks = tasks(nodes);
            let slots = group(tasks.iter(), false);
            assert_eq!(numbers(&surplus(&slots, count)), gone, "{nodes} {count}");
        }
    }

    #[test]
    fn free_numbers_are_the_lowest() {
        let mut tasks = tasks("AAAA");
        tasks.remove(1);
        let slots = group(tasks.iter(), false);
        assert_eq!(numbers(&free(&slots, 3)), [2, 5, 6]);
        assert_eq!(numbers(&free(&Slots::new(), 2)), [1, 2]);
    }
}
