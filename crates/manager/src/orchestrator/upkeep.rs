//! A place's tasks: those that ended are told so, empty places are filled, waiting tasks may run.

use std::sync::Arc;

use swarm_api::{Past, Task, UpdatePart};
use types::swarm::task::TaskState;

use super::fate::{self, Fate};
use super::restart;
use super::rollout::Rules;
use super::slot::{Place, Slot};
use super::work::Work;

/// A task waits for the one before it to stop for so long, or for longer where that may take longer.
const PATIENCE: i64 = 60_000_000_000;
/// What a node needs beside the time that a container has to end.
const MARGIN: i64 = 10_000_000_000;

/// Tells those tasks to be over that ended, whose node is lost, or that must leave theirs.
pub(crate) fn end<'a>(work: &mut Work<'a, '_>, slot: &mut Slot<'a>) {
    let wanted = std::mem::take(&mut slot.wanted);
    for task in wanted {
        if is_done_for(work, task) {
            retire(work, slot, task);
        } else {
            slot.wanted.push(task);
        }
    }
}

fn is_done_for(work: &mut Work<'_, '_>, task: &Arc<Task>) -> bool {
    let state = task.status.state;
    if !state.is_over() {
        let constraints = work.constraints_of(task);
        return fate::of(work.tables, task, &constraints) != Fate::Stays;
    }
    if state == TaskState::Complete && work.goal == TaskState::Complete {
        return false;
    }
    // One that failed while it waited is not replaced before it would have run, or a missing image
    // would be asked for without a pause.
    let wait = task.past.as_ref().map_or(0, |p| p.wait);
    !(task.desired < work.goal && work.waits(task.meta.created, wait))
}

/// Tells a task of this place to shut down.
pub(crate) fn retire<'a>(work: &mut Work<'a, '_>, slot: &mut Slot<'a>, task: &'a Arc<Task>) {
    work.tell(task, TaskState::Shutdown);
    slot.wanted.retain(|t| t.id != task.id);
    slot.past.push(task);
    slot.touched = true;
}

/// What the next task of an empty place knows of the past; nothing where the place stays empty.
pub(crate) fn successor(work: &Work<'_, '_>, last: &Task, rules: &Rules) -> Option<Past> {
    let dirty = work.is_dirty(last);
    let mut past = if dirty && !restart::ended_itself(last) {
        Past::default()
    } else {
        restart::after(last, work.service.spec_version, rules.monitor)?
    };
    if dirty && rules.is_going {
        past.update = UpdatePart::Made;
    }
    Some(past)
}

/// Fills the place where it is empty.
pub(crate) fn fill<'a>(work: &mut Work<'a, '_>, place: &Place, slot: &mut Slot<'a>, rules: &Rules) {
    if slot.touched || !slot.wanted.is_empty() {
        return;
    }
    let past = match slot.newest() {
        None => Some(Past::default()),
        Some(last) => successor(work, last, rules),
    };
    if let Some(past) = past {
        work.create(place, slot, past);
    }
}

/// Lets tasks run whose time has come.
pub(crate) fn promote(work: &mut Work<'_, '_>, slot: &Slot<'_>) {
    for task in &slot.wanted {
        if task.desired >= work.goal || !task.is_live() {
            continue;
        }
        let wait = task.past.as_ref().map_or(0, |p| p.wait);
        if work.waits(task.meta.created, wait) {
            continue;
        }
        let blocked = slot.is_occupied(work.tables);
        if blocked && work.waits(task.meta.created, wait.max(patience(slot))) {
            continue;
        }
        let goal = work.goal;
        work.tell(task, goal);
    }
}

fn patience(slot: &Slot<'_>) -> i64 {
    let grace = |task: &Arc<Task>| {
        let container = task.spec.container_spec.as_ref();
        container.and_then(|c| c.stop_grace_period).unwrap_or(0)
    };
    let going = slot.past.iter().chain(&slot.leaving);
    let longest = going.map(|t| grace(t)).max();
    PATIENCE.max(longest.unwrap_or(0).saturating_add(MARGIN))
}
