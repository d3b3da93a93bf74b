//! A simulated node: it does as it is told, late, and sometimes its tasks or it itself fail.

use std::collections::BTreeMap;

use manager::plan::Random;
use swarm_api::session::{Held, StatusUpdate};
use swarm_api::{Id, TaskStatus, Time};
use types::swarm::task::TaskState;

use crate::world::{MILLI, SECOND, up_to};

/// What can be with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is well connected.
    Up,
    /// It runs, but hears nobody.
    Cut,
    /// It does not run.
    Off,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) link: Link,
    /// Which connection it has; what was sent by an earlier one is lost.
    pub(crate) session: u32,
    pub(crate) connected: bool,
    pub(crate) held: Held,
    pub(crate) runs: BTreeMap<Id, Run>,
    /// When the last message to it and from it arrives: they do not overtake one another.
    pub(crate) arrives: Time,
    pub(crate) reports: Time,
}

/// A task on a node.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) state: TaskState,
    /// When it gets further.
    next: Time,
    stops: bool,
}

impl Agent {
    pub(crate) fn new() -> Self {
        Self {
            link: Link::Off,
            session: 0,
            connected: false,
            held: Held::default(),
            runs: BTreeMap::new(),
            arrives: 0,
            reports: 0,
        }
    }

    /// Everything on it ends, and it forgets all.
    pub(crate) fn crash(&mut self) {
        self.link = Link::Off;
        self.connected = false;
        self.held = Held::default();
        self.runs.clear();
    }

    /// How all of its tasks are: what it says first on a new connection.
    pub(crate) fn all(&self) -> Vec<StatusUpdate> {
        self.runs
            .iter()
            .map(|(id, run)| update(id, run.state))
            .collect()
    }

    /// Does what is due; answers what is news, and when something is due next.
    pub(crate) fn step(
        &mut self,
        now: Time,
        fails: bool,
        random: &mut Random,
    ) -> (Vec<StatusUpdate>, Time) {
        let mut news = Vec::new();
        let mut due = Time::MAX;
        self.runs.retain(|id, _| self.held.tasks.contains_key(id));
        for (id, task) in &self.held.tasks {
            let Some(run) = self.runs.get_mut(id) else {
                if task.state.is_over() {
                    continue;
                }
                let mut run = Run {
                    state: TaskState::Accepted,
                    next: now + up_to(random, 300 * MILLI),
                    stops: false,
                };
                // It ran here, and does not: the node was off.
                if task.state >= TaskState::Starting {
                    run.state = TaskState::Failed;
                }
                due = due.min(run.next);
                news.push(update(id, run.state));
                self.runs.insert(id.clone(), run);
                continue;
            };
            if run.state.is_over() {
                continue;
            }
            if task.desired > TaskState::Complete && !run.stops {
                run.stops = true;
                run.next = now + up_to(random, 5 * SECOND);
                if run.state < TaskState::Starting {
                    run.next = now;
                }
            }
            if run.next <= now {
                let before = run.state;
                run.advance(task.desired, now, fails, random);
                if run.state != before {
                    news.push(update(id, run.state));
                }
            }
            let waits = run.state == TaskState::Ready && task.desired == TaskState::Ready;
            if !run.state.is_over() && !waits {
                due = due.min(run.next);
            }
        }
        (news, due)
    }
}

impl Run {
    fn advance(&mut self, desired: TaskState, now: Time, fails: bool, random: &mut Random) {
        if self.stops {
            self.state = TaskState::Shutdown;
            return;
        }
        let unlucky = fails && random.number().is_multiple_of(50);
        let (state, takes) = match self.state {
            TaskState::Accepted => (TaskState::Preparing, 2 * SECOND),
            TaskState::Preparing if unlucky => (TaskState::Rejected, 0),
            TaskState::Preparing => (TaskState::Ready, 100 * MILLI),
            TaskState::Ready if desired < TaskState::Running => (TaskState::Ready, 0),
            TaskState::Ready => (TaskState::Starting, SECOND),
            TaskState::Starting if unlucky => (TaskState::Failed, 0),
            TaskState::Starting if desired == TaskState::Complete => {
                (TaskState::Running, 60 * SECOND)
            }
            TaskState::Starting => (TaskState::Running, 100 * 3600 * SECOND),
            TaskState::Running if desired == TaskState::Complete => (TaskState::Complete, 0),
            TaskState::Running if fails => (TaskState::Failed, 0),
            state => (state, 100 * 3600 * SECOND),
        };
        self.state = state;
        self.next = now + up_to(random, takes);
    }
}

fn update(task: &Id, state: TaskState) -> StatusUpdate {
    StatusUpdate {
        task: task.clone(),
        status: TaskStatus {
            state,
            message: state.word().into(),
            ..TaskStatus::default()
        },
    }
}
