//! Keeps one task of each global service on each node that fits.

use std::sync::Arc;

use swarm_api::{Service, Time};

use super::dirty::Dirty;
use super::rollout::{self, Rules};
use super::work::Work;
use super::{slot, upkeep};
use crate::plan::{Loop, Plan, Turn};

/// Keeps one task of each global service on each node that fits.
///
/// A node that is paused, or of which is not known yet how it is, keeps the task it has: a task that ends
/// there is not replaced, and updates pass it by until it takes tasks again.
#[derive(Debug, Default)]
pub struct Global {
    dirty: Dirty,
}

impl Global {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Loop for Global {
    fn name(&self) -> &'static str {
        "global"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan {
        let is_mine = |s: &Service| !s.removing && s.is_global() && !s.is_job();
        self.dirty.turn(turn, is_mine, reconcile)
    }
}

fn reconcile(service: &Arc<Service>, turn: &mut Turn<'_>, plan: &mut Plan) -> Option<Time> {
    let tables = turn.tables;
    let mut work = Work::new(service, tables, turn.now, turn.random);
    let mut slots = slot::group(tables.tasks_of_service(service.id.as_str()), true);
    let rules = Rules::of(service);
    for slot in slots.values_mut() {
        upkeep::end(&mut work, slot);
    }
    slot::on_nodes(&work, &mut slots, |_| true);
    rollout::run(&mut work, &mut slots, &rules);
    for (place, slot) in &mut slots {
        upkeep::fill(&mut work, place, slot, &rules);
        upkeep::promote(&mut work, slot);
    }
    plan.changes.append(&mut work.changes);
    work.wake
}
