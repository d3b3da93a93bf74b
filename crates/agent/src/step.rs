//! One step of a task: what is to be done next, from how it should be and how it is.

use types::swarm::task::TaskState;

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is as it should be, or waits for a word of the managers'.
    Nothing,
    /// Say that it was heard of.
    Accept,
    /// Say that it is being prepared; the next step does it.
    BeginToPrepare,
    /// Fetch and make what it needs.
    Prepare,
    /// Say that it starts; the next step does it.
    BeginToStart,
    /// Start it.
    Start,
    /// Watch it until it ends.
    Wait,
    /// Take traffic from it, then have it end.
    ShutDown,
    /// Remove what is left of it.
    Remove,
}

/// What is to be done with a task that should be `desired` and is `state`.
#[must_use]
pub fn next(desired: TaskState, state: TaskState) -> Act {
    use TaskState as S;
    if desired >= S::Remove {
        return Act::Remove;
    }
    if state.is_over() {
        return Act::Nothing;
    }
    // A job's tasks should be complete: they run until they end.
    if desired > S::Complete {
        return Act::ShutDown;
    }
    match state {
        S::New | S::Allocated | S::Pending => Act::Nothing,
        S::Assigned => Act::Accept,
        S::Accepted => Act::BeginToPrepare,
        S::Preparing => Act::Prepare,
        S::Ready if desired >= S::Running => Act::BeginToStart,
        S::Ready => Act::Nothing,
        S::Starting => Act::Start,
        S::Running => Act::Wait,
        S::Complete | S::Shutdown | S::Failed | S::Rejected | S::Remove | S::Orphaned => {
            Act::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState as S;

    const ALL: [S; 15] = [
        S::New,
        S::Allocated,
        S::Pending,
        S::Assigned,
        S::Accepted,
        S::Preparing,
        S::Ready,
        S::Starting,
        S::Running,
        S::Complete,
        S::Shutdown,
        S::Failed,
        S::Rejected,
        S::Remove,
        S::Orphaned,
    ];

    #[test]
    fn what_is_over_is_never_moved_but_removed() {
        for state in ALL.into_iter().filter(|s| s.is_over()) {
            for desired in ALL {
                let expected = if desired >= S::Remove {
                    Act::Remove
                } else {
                    Act::Nothing
                };
                assert_eq!(next(desired, state), expected, "{desired:?} {state:?}");
            }
        }
    }

    #[test]
    fn what_is_not_wanted_is_never_started() {
        for desired in ALL.into_iter().filter(|d| *d > S::Complete) {
            for state in ALL.into_iter().filter(|s| !s.is_over()) {
                let act = next(desired, state);
                assert!(
                    matches!(act, Act::ShutDown | Act::Remove),
                    "{desired:?} {state:?}"
                );
            }
        }
    }

    #[test]
    fn a_task_that_waits_for_its_turn_is_ready_and_not_started() {
        assert_eq!(next(S::Ready, S::Preparing), Act::Prepare);
        assert_eq!(next(S::Ready, S::Ready), Act::Nothing);
        assert_eq!(next(S::Running, S::Ready), Act::BeginToStart);
        assert_eq!(next(S::Complete, S::Ready), Act::BeginToStart);
        assert_eq!(next(S::Complete, S::Running), Act::Wait);
    }
}
