//! The restart policy: whether another task takes an ended one's place, and when it may run.
//!
//! Docker waits for the policy's delay (5 seconds where nothing is said) before each restart, so that a
//! service that runs well and loses one task is short of one for that long. Here the delay slows down what
//! fails again and again:
//!
//! - a task that ran for longer than the delay is replaced at once;
//! - one that did not live for so long is replaced after the delay, where the user set one;
//! - where no delay was set, it is replaced at once, too, unless the one before it was as quick to end:
//!   the second and each further quick end in a row costs 5 seconds.
//!
//! What a node did (it went down, was drained, was taken away) is no restart: it is never waited for, and
//! never counted.

use swarm_api::{Past, Task, Time, UpdatePart};
use types::swarm::task::{RestartCondition, TaskState};

/// The delay where nothing is said.
const DELAY: i64 = 5_000_000_000;

/// Whether a task ended by itself, not because it was told to or its node is gone.
pub(crate) fn ended_itself(task: &Task) -> bool {
    use TaskState::{Complete, Failed, Rejected};
    matches!(task.status.state, Complete | Failed | Rejected)
}

/// Whether a task ended by itself before it ran for so long.
pub(crate) fn ended_within(task: &Task, span: i64) -> bool {
    let started = task.status.started;
    ended_itself(task) && (started == 0 || end_of(task).saturating_sub(started) <= span)
}

/// When it ended.
pub(crate) fn end_of(task: &Task) -> Time {
    let status = &task.status;
    // Managers' clocks are one another's; a node's is its own.
    if status.heard > 0 {
        status.heard
    } else {
        status.time
    }
}

/// What the task that takes this one's place is to know of the past; nothing where none does.
///
/// `version` is that of the wish the next one is made by, and `monitor` how long an update watches a task.
pub(crate) fn after(task: &Task, version: u64, monitor: i64) -> Option<Past> {
    let policy = task.spec.restart_policy.as_ref();
    let old = task.past.as_deref().cloned().unwrap_or_default();
    let itself = ended_itself(task);
    match policy.map(|p| p.condition).unwrap_or_default() {
        RestartCondition::None => return None,
        RestartCondition::OnFailure if task.status.state == TaskState::Complete => return None,
        RestartCondition::OnFailure | RestartCondition::Any => {}
    }
    let end = end_of(task);
    let limit = policy.and_then(|p| p.max_attempts).unwrap_or(0);
    let window = policy.and_then(|p| p.window).unwrap_or(0);
    let recent = || old.recent.iter().copied().filter(|t| *t > end - window);
    if itself && limit > 0 {
        let counted = if window > 0 {
            recent().count() as u64
        } else {
            old.restarts
        };
        if counted >= limit {
            return None;
        }
    }
    if task.spec_version != version {
        return Some(Past::default());
    }
    if !itself {
        return Some(Past { wait: 0, ..old });
    }
    let set = policy.and_then(|p| p.delay);
    let delay = set.unwrap_or(DELAY).max(0);
    let quick = ended_within(task, delay);
    let waits = quick && (set.is_some() || old.quick > 0);
    Some(Past {
        before: old.before,
        restarts: old.restarts + 1,
        recent: if limit > 0 && window > 0 {
            recent().chain([end]).collect()
        } else {
            Vec::new()
        },
        quick: if quick { old.quick + 1 } else { 0 },
        wait: if waits { delay } else { 0 },
        update: match old.update {
            UpdatePart::Made if ended_within(task, monitor) => UpdatePart::Failed,
            UpdatePart::Made => UpdatePart::Passed,
            part => part,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use swarm_api::TaskStatus;
    use types::swarm::task::{RestartPolicy, TaskSpec};

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn ended(policy: Option<RestartPolicy>, state: TaskState, ran: i64, past: Past) -> Task {
        let spec = TaskSpec {
            restart_policy: policy,
            ..TaskSpec::default()
        };
        Task {
            spec: Arc::new(spec),
            past: Some(Box::new(past)),
            status: TaskStatus {
                state,
                started: if ran == 0 { 0 } else { 1_000 * SECOND },
                heard: (1_000 + ran) * SECOND,
                ..TaskStatus::default()
            },
            ..Task::default()
        }
    }

    fn next(policy: Option<RestartPolicy>, state: TaskState, ran: i64, past: Past) -> Option<Past> {
        after(&ended(policy, state, ran, past), 0, 5 * SECOND)
    }

    fn quick(quick: u64) -> Past {
        Past {
            quick,
            ..Past::default()
        }
    }

    #[test]
    fn what_ran_well_is_replaced_at_once_and_what_fails_again_waits() {
        use TaskState::Failed;
        let wait = |policy: Option<RestartPolicy>, ran, before| {
            next(policy, Failed, ran, quick(before)).unwrap().wait / SECOND
        };
        let set = |seconds: i64| {
            Some(RestartPolicy {
                delay: Some(seconds * SECOND),
                ..RestartPolicy::default()
            })
        };
        // Nothing was set: the first quick end is free.
        assert_eq!(wait(None, 60, 0), 0);
        assert_eq!(wait(None, 1, 0), 0);
        assert_eq!(wait(None, 0, 0), 0);
        assert_eq!(wait(None, 1, 1), 5);
        assert_eq!(wait(None, 0, 7), 5);
        assert_eq!(wait(None, 60, 7), 0);
        // The user's own delay holds from the first.
        assert_eq!(wait(set(30), 1, 0), 30);
        assert_eq!(wait(set(30), 31, 0), 0);
        assert_eq!(wait(set(0), 0, 3), 0);
    }

    #[test]
    fn conditions() {
        use RestartCondition::{Any, None, OnFailure};
        use TaskState::{Complete, Failed, Rejected, Shutdown};
        for (condition, state, again) in [
            (Any, Complete, true),
            (Any, Failed, true),
            (OnFailure, Complete, false),
            (OnFailure, Failed, true),
            (OnFailure, Rejected, true),
            (OnFailure, Shutdown, true),
            (None, Failed, false),
            (None, Complete, false),
        ] {
            let policy = RestartPolicy {
                condition,
                ..RestartPolicy::default()
            };
            let next = next(Some(policy), state, 9, Past::default());
            assert_eq!(next.is_some(), again, "{condition:?} {state:?}");
        }
    }

    #[test]
    fn attempts_are_counted() {
        let policy = |window| {
            Some(RestartPolicy {
                max_attempts: Some(2),
                window,
                ..RestartPolicy::default()
            })
        };
        let fail = |window, past| next(policy(window), TaskState::Failed, 0, past);
        let first = fail(None, Past::default()).unwrap();
        let second = fail(None, first).unwrap();
        assert_eq!(second.restarts, 2);
        assert_eq!(fail(None, second.clone()), None);
        // A node's end is none of the attempts.
        let lost = next(policy(None), TaskState::Shutdown, 0, second.clone());
        assert_eq!(lost.unwrap().restarts, 2);

        // The end is at 1,000 seconds; one of the two before is out of the window.
        let at = |times: &[i64]| Past {
            restarts: 2,
            recent: times.iter().map(|t| t * SECOND).collect(),
            ..Past::default()
        };
        let window = Some(100 * SECOND);
        assert_eq!(fail(window, at(&[950, 990])), None);
        let next = fail(window, at(&[850, 990])).unwrap();
        assert_eq!(next.recent, at(&[990, 1_000]).recent);
    }

    #[test]
    fn a_new_wish_begins_anew() {
        let past = Past {
            restarts: 1,
            quick: 4,
            ..Past::default()
        };
        let task = ended(None, TaskState::Failed, 0, past);
        assert_eq!(after(&task, 1, 0), Some(Past::default()));
    }
}
