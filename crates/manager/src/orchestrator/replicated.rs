//! Keeps as many tasks of each replicated service as are wished.

use std::collections::BTreeSet;
use std::sync::Arc;

use swarm_api::{Service, Time};
use types::swarm::task::TaskState;

use super::dirty::Dirty;
use super::rollout::{self, Rules};
use super::slot::{self, Place, Slots};
use super::work::Work;
use super::{scale, upkeep};
use crate::plan::{Loop, Plan, Turn};

/// Keeps as many tasks of each replicated service as are wished.
#[derive(Debug, Default)]
pub struct Replicated {
    dirty: Dirty,
}

impl Replicated {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Loop for Replicated {
    fn name(&self) -> &'static str {
        "replicated"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan {
        let is_mine = |s: &Service| !s.removing && !s.is_global() && !s.is_job();
        self.dirty.turn(turn, is_mine, reconcile)
    }
}

fn reconcile(service: &Arc<Service>, turn: &mut Turn<'_>, plan: &mut Plan) -> Option<Time> {
    let tables = turn.tables;
    let mut work = Work::new(service, tables, turn.now, turn.random);
    let mut slots = slot::group(tables.tasks_of_service(service.id.as_str()), false);
    let rules = Rules::of(service);
    for slot in slots.values_mut() {
        upkeep::end(&mut work, slot);
    }
    scale(&mut work, &mut slots);
    rollout::run(&mut work, &mut slots, &rules);
    for (place, slot) in &mut slots {
        upkeep::fill(&mut work, place, slot, &rules);
        upkeep::promote(&mut work, slot);
    }
    plan.changes.append(&mut work.changes);
    work.wake
}

/// Makes the places as many as are wished.
fn scale(work: &mut Work<'_, '_>, slots: &mut Slots<'_>) {
    let wished = work.service.replicas().unwrap_or(0);
    let have = slots.values().filter(|slot| !slot.is_bare()).count() as u64;
    let added: BTreeSet<Place> = scale::free(slots, wished.saturating_sub(have))
        .into_iter()
        .collect();
    // Of the others nothing is kept: they are no places any more.
    slots.retain(|place, slot| !slot.is_bare() || added.contains(place));
    for place in added {
        slots.entry(place).or_default();
    }
    let count = usize::try_from(have.saturating_sub(wished)).unwrap_or(usize::MAX);
    for place in scale::surplus(slots, count) {
        let Some(slot) = slots.remove(&place) else {
            continue;
        };
        for task in slot.wanted.iter().chain(&slot.past) {
            work.tell(task, TaskState::Remove);
        }
    }
}
