//! Runs jobs: tasks that are to end, each run of a job on its own.

use std::sync::Arc;

use swarm_api::{Service, Task, Time};
use types::swarm::task::TaskState;

use super::dirty::Dirty;
use super::rollout::Rules;
use super::slot::{self, Slot, Slots};
use super::work::Work;
use super::{scale, upkeep};
use crate::plan::{Loop, Plan, Turn};

/// Runs replicated and global jobs.
///
/// A job's tasks are wanted as `complete`. One that failed is followed by another as the restart policy
/// says; where it says no more, its place is given up, and the job ends with fewer completions than were
/// wished. A new run (`JobStatus::iteration` was counted up) ends what is left of the one before. A global
/// job runs on the nodes that were there when its run began.
#[derive(Debug, Default)]
pub struct Jobs {
    dirty: Dirty,
}

impl Jobs {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Loop for Jobs {
    fn name(&self) -> &'static str {
        "jobs"
    }

    fn turn(&mut self, turn: &mut Turn<'_>) -> Plan {
        let is_mine = |s: &Service| !s.removing && s.is_job();
        self.dirty.turn(turn, is_mine, reconcile)
    }
}

fn reconcile(service: &Arc<Service>, turn: &mut Turn<'_>, plan: &mut Plan) -> Option<Time> {
    let tables = turn.tables;
    let mut work = Work::new(service, tables, turn.now, turn.random);
    let iteration = work.iteration();
    let is_now = |task: &Task| task.job_iteration.unwrap_or(0) == iteration;
    let tasks = || tables.tasks_of_service(service.id.as_str());
    for task in tasks().filter(|t| !is_now(t)) {
        end_run(&mut work, task);
    }
    let mut slots = slot::group(tasks().filter(|t| is_now(t)), service.is_global());
    let rules = Rules::of(service);
    for slot in slots.values_mut() {
        upkeep::end(&mut work, slot);
    }
    if service.is_global() {
        let began = service.job.as_ref().map(|job| job.started);
        let began = began.filter(|t| *t > 0).unwrap_or(service.meta.created);
        slot::on_nodes(&work, &mut slots, |node| node.meta.created <= began);
    } else {
        in_numbers(&mut work, &mut slots, &rules);
    }
    for (place, slot) in &mut slots {
        upkeep::fill(&mut work, place, slot, &rules);
        upkeep::promote(&mut work, slot);
    }
    plan.changes.append(&mut work.changes);
    work.wake
}

/// A task of an earlier run: what is left of it goes, what it did stays as history.
fn end_run(work: &mut Work<'_, '_>, task: &Arc<Task>) {
    if task.is_live() && task.desired != TaskState::Remove {
        work.tell(task, TaskState::Remove);
    } else if task.is_wanted() {
        work.tell(task, TaskState::Shutdown);
    }
}

/// Adds places, as many as may run at once, until there are enough for all completions.
fn in_numbers(work: &mut Work<'_, '_>, slots: &mut Slots<'_>, rules: &Rules) {
    let job = work
        .service
        .spec
        .mode
        .replicated_job
        .clone()
        .unwrap_or_default();
    let at_once = job.max_concurrent.unwrap_or(1);
    let total = job.total_completions.unwrap_or(at_once);
    slots.retain(|_, slot| !slot.is_bare());
    let ended = slots.values().filter(|s| is_settled(work, s, rules));
    let running = (slots.len() - ended.count()) as u64;
    let more = at_once.saturating_sub(running);
    let more = more.min(total.saturating_sub(slots.len() as u64));
    for place in scale::free(slots, more) {
        slots.entry(place).or_default();
    }
}

/// Whether nothing will run in a place any more: its task completed, or it was given up.
fn is_settled(work: &Work<'_, '_>, slot: &Slot<'_>, rules: &Rules) -> bool {
    if slot.touched {
        return false;
    }
    match slot.wanted.last() {
        Some(task) => task.status.state == TaskState::Complete,
        None => slot
            .newest()
            .is_none_or(|last| upkeep::successor(work, last, rules).is_none()),
    }
}
