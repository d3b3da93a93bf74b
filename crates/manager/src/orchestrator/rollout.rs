//! Updates: tasks that run something else than is wished are replaced, so many at once, and watched.
//!
//! What an update did is read from the tasks: one that it made is marked (`Past::update`), and the mark
//! goes on to those that follow it in its place. So nothing is remembered, and another manager goes on
//! where this one stopped. Whoever changes a service's wish clears its `update`
//! ([`swarm_api::Service::wish`]); the next turn begins one if tasks have to change.
//!
//! A place counts as being worked on until its new task runs (or ended), and for the update's delay after
//! that. The update is complete when no place is left, and every new task was watched for `monitor`.

use std::sync::Arc;

use swarm_api::{Change, Service, Task, UpdatePart, UpdateStatus};
use types::swarm::service::{FailureAction, UpdateConfig, UpdateOrder, UpdateState};

use super::restart;
use super::slot::{Place, Slot, Slots, is_running};
use super::upkeep;
use super::work::Work;

/// How long a new task is watched where nothing is said.
const MONITOR: i64 = 5_000_000_000;

/// How a service's update goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    /// One goes on.
    pub(crate) is_going: bool,
    /// It stopped because tasks failed.
    is_paused: bool,
    /// It goes back to what was.
    is_back: bool,
    parallelism: usize,
    delay: i64,
    /// How long a new task is watched.
    pub(crate) monitor: i64,
    ratio: f64,
    action: FailureAction,
    order: UpdateOrder,
}

impl Rules {
    /// Those of a service as it is.
    pub(crate) fn of(service: &Service) -> Self {
        use UpdateState::{Paused, RollbackPaused, RollbackStarted, Updating};
        let state = service.update.as_ref().map(|u| u.state);
        let is_back = matches!(state, Some(RollbackStarted | RollbackPaused));
        let config = if is_back {
            &service.spec.rollback_config
        } else {
            &service.spec.update_config
        };
        let one_by_one = UpdateConfig {
            parallelism: 1,
            ..UpdateConfig::default()
        };
        let config = config.as_ref().unwrap_or(&one_by_one);
        Self {
            is_going: matches!(state, Some(Updating | RollbackStarted)),
            is_paused: matches!(state, Some(Paused | RollbackPaused)),
            is_back,
            parallelism: match config.parallelism {
                0 => usize::MAX,
                n => usize::try_from(n).unwrap_or(usize::MAX),
            },
            delay: config.delay,
            monitor: config.monitor.unwrap_or(MONITOR),
            ratio: config.max_failure_ratio,
            action: config.failure_action,
            order: config.order,
        }
    }
}

/// How far an update is.
#[derive(Default)]
struct Progress<'a> {
    /// Places that it has still to change; those where nothing runs come first.
    left: Vec<(bool, Place)>,
    /// Places that it works on.
    busy: usize,
    /// A new task does not run yet, or is still watched.
    open: bool,
    /// Places that it changes in all.
    total: usize,
    /// Places whose new task failed.
    failed: usize,
    /// The last of these tasks.
    culprit: Option<&'a Arc<Task>>,
}

/// Takes a service's update further.
pub(crate) fn run<'a>(work: &mut Work<'a, '_>, slots: &mut Slots<'a>, rules: &Rules) {
    for slot in slots.values_mut() {
        tidy(work, slot, rules);
    }
    let mut progress = Progress::default();
    for (place, slot) in &mut *slots {
        assess(work, place, slot, rules, &mut progress);
    }
    if !rules.is_going {
        if !rules.is_paused && !progress.left.is_empty() {
            set(work, UpdateState::Updating, "update in progress".to_owned());
        }
        return;
    }
    if has_failed(&progress, rules) {
        fail(work, rules, progress.culprit);
        return;
    }
    progress.left.sort();
    let free = rules.parallelism.saturating_sub(progress.busy);
    let is_done = progress.left.is_empty() && progress.busy == 0 && !progress.open;
    for (_, place) in progress.left.into_iter().take(free) {
        if let Some(slot) = slots.get_mut(&place) {
            begin(work, &place, slot, rules);
        }
    }
    if is_done {
        let (state, message) = if rules.is_back {
            (UpdateState::RollbackCompleted, "rollback completed")
        } else {
            (UpdateState::Completed, "update completed")
        };
        set(work, state, message.to_owned());
    }
}

/// Leaves one task in a place; two only while the new one starts before the old one stops.
fn tidy<'a>(work: &mut Work<'a, '_>, slot: &mut Slot<'a>, rules: &Rules) {
    if slot.wanted.len() < 2 {
        return;
    }
    let (mut old, mut new): (Vec<_>, Vec<_>) =
        slot.wanted.iter().copied().partition(|t| work.is_dirty(t));
    // Those that run stay rather than others, and older ones rather than younger ones.
    old.sort_by_key(|t| !is_running(t));
    new.sort_by_key(|t| !is_running(t));
    let (old, new) = (old.first().copied(), new.first().copied());
    let (keep_old, keep_new) = match (old, new) {
        (Some(_), Some(new)) if is_running(new) => (false, true),
        // The old one runs on; what takes its place comes with the next change of the wish.
        (Some(_), Some(_)) if rules.is_paused => (true, false),
        (Some(_), Some(_)) => (rules.order == UpdateOrder::StartFirst, true),
        _ => (true, true),
    };
    let keeps = |task: &Arc<Task>| {
        let is = |kept: Option<&Arc<Task>>| kept.is_some_and(|k| k.id == task.id);
        keep_old && is(old) || keep_new && is(new)
    };
    let rest: Vec<_> = slot.wanted.iter().copied().filter(|t| !keeps(t)).collect();
    for task in rest {
        upkeep::retire(work, slot, task);
    }
}

/// What a place tells of the update.
fn assess<'a>(
    work: &mut Work<'a, '_>,
    place: &Place,
    slot: &mut Slot<'a>,
    rules: &Rules,
    progress: &mut Progress<'a>,
) {
    let Some(newest) = slot.newest() else { return };
    let part = newest.past.as_ref().map_or(UpdatePart::None, |p| p.update);
    let has_old = slot.wanted.iter().any(|t| work.is_dirty(t));
    if part != UpdatePart::None && work.is_of_this_wish(newest) {
        progress.total += 1;
        watch(work, newest, part, rules, progress);
        if has_old {
            keep_starting(work, place, slot, newest, rules, progress);
        }
        return;
    }
    if slot.touched {
        // Replaced in this turn: whether by the update is seen in the next.
        progress.busy += 1;
        progress.total += usize::from(work.is_dirty(newest));
        return;
    }
    // Old ones that ended for good are replaced in their turn, too.
    let is_over = slot.wanted.is_empty()
        && work.is_dirty(newest)
        && restart::ended_itself(newest)
        && upkeep::successor(work, newest, rules).is_none();
    let has_new = slot.wanted.iter().any(|t| !work.is_dirty(t));
    if has_old && !has_new || is_over {
        progress.total += 1;
        progress.left.push((slot.runs(), place.clone()));
    } else if has_old {
        progress.open = true;
    } else if slot.wanted.is_empty() && work.is_dirty(newest) {
        progress.total += 1;
        progress.busy += 1;
    }
}

/// What a task that the update made, or one that follows it, tells.
fn watch<'a>(
    work: &mut Work<'a, '_>,
    newest: &'a Arc<Task>,
    part: UpdatePart,
    rules: &Rules,
    progress: &mut Progress<'a>,
) {
    let made = part == UpdatePart::Made;
    let over = newest.status.state.is_over();
    if part == UpdatePart::Failed || made && restart::ended_within(newest, rules.monitor) {
        progress.failed += 1;
        let end = restart::end_of;
        if progress.culprit.is_none_or(|c| end(c) <= end(newest)) {
            progress.culprit = Some(newest);
        }
    }
    if made && !over && !is_running(newest) {
        progress.busy += 1;
        progress.open = true;
        return;
    }
    let since = if !made {
        newest.meta.created
    } else if over {
        restart::end_of(newest)
    } else {
        newest.status.started
    };
    if work.waits(since, rules.delay) {
        progress.busy += 1;
    }
    if made && is_running(newest) && work.waits(newest.status.started, rules.monitor) {
        progress.open = true;
    }
}

/// In a place where the old task runs until the new one does, another new one follows one that ended.
fn keep_starting<'a>(
    work: &mut Work<'a, '_>,
    place: &Place,
    slot: &mut Slot<'a>,
    newest: &'a Arc<Task>,
    rules: &Rules,
    progress: &mut Progress<'a>,
) {
    if newest.is_wanted() || slot.touched {
        progress.open = true;
    } else if rules.is_going
        && !exceeds(progress, rules)
        && let Some(past) = upkeep::successor(work, newest, rules)
    {
        progress.open = true;
        work.create(place, slot, past);
    }
}

/// Begins with a place.
fn begin<'a>(work: &mut Work<'a, '_>, place: &Place, slot: &mut Slot<'a>, rules: &Rules) {
    if rules.order == UpdateOrder::StartFirst || slot.wanted.is_empty() {
        let past = swarm_api::Past {
            update: UpdatePart::Made,
            ..swarm_api::Past::default()
        };
        work.create(place, slot, past);
        return;
    }
    for task in std::mem::take(&mut slot.wanted) {
        upkeep::retire(work, slot, task);
    }
}

/// Whether an update's failures are to be acted on.
fn has_failed(progress: &Progress<'_>, rules: &Rules) -> bool {
    rules.action != FailureAction::Continue && exceeds(progress, rules)
}

fn exceeds(progress: &Progress<'_>, rules: &Rules) -> bool {
    let ratio = progress.failed as f64 / progress.total.max(1) as f64;
    progress.failed > 0 && rules.action != FailureAction::Continue && ratio > rules.ratio
}

fn fail(work: &mut Work<'_, '_>, rules: &Rules, culprit: Option<&Arc<Task>>) {
    let id = culprit.map(|t| t.id.to_string()).unwrap_or_default();
    let message = |what: &str| format!("{what} due to failure or early termination of task {id}");
    if rules.is_back {
        set(
            work,
            UpdateState::RollbackPaused,
            message("rollback paused"),
        );
        return;
    }
    if rules.action == FailureAction::Rollback {
        let started = work.service.update.as_ref().map(|u| u.started);
        let mut service = Service::clone(work.service);
        if service.roll_back(message("update rolled back"), work.now) {
            if let (Some(update), Some(started)) = (&mut service.update, started) {
                update.started = started;
            }
            work.changes.push(Change::put(service));
            return;
        }
    }
    set(work, UpdateState::Paused, message("update paused"));
}

fn set(work: &mut Work<'_, '_>, state: UpdateState, message: String) {
    use UpdateState::{Completed, RollbackCompleted, Updating};
    let mut service = Service::clone(work.service);
    let before = service.update.take();
    let started = before.map(|u| u.started).filter(|_| state != Updating);
    service.update = Some(UpdateStatus {
        state,
        started: started.unwrap_or(work.now),
        completed: matches!(state, Completed | RollbackCompleted).then_some(work.now),
        message,
    });
    service.meta.updated = work.now;
    work.changes.push(Change::put(service));
}
