//! A container's state and its transitions, apart from the kernel: each event is valid in
//! every state, and says what the next one is.

use types::container::{HealthStatus, NEVER};

use crate::{clock, health, record::LastRun};

/// What a container does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Never ran.
    Created,
    /// Its first process lives.
    Running { pid: u32 },
    /// Ended; the policy starts it again shortly.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
}

/// A container's state: the phase and what became of its last run.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub phase: Phase,
    pub last: LastRun,
    /// How often it ended since the daemon started; what waits for the next exit compares it.
    pub exits: u64,
    /// Runs in a row that ended too soon: each makes the pause before a restart longer.
    pub quick_ends: u32,
    /// Its record is gone.
    pub removed: bool,
    /// It runs, and its processes stand still.
    pub paused: bool,
}

impl State {
    /// The state that a record tells of when nothing runs.
    pub(crate) fn at_rest(last: Option<&LastRun>) -> Self {
        let phase = match last {
            Some(last) if last.started_at != NEVER => Phase::Exited,
            _ => Phase::Created,
        };
        let never = LastRun {
            started_at: NEVER.into(),
            finished_at: NEVER.into(),
            ..LastRun::default()
        };
        Self {
            phase,
            last: last.cloned().unwrap_or(never),
            exits: 0,
            quick_ends: 0,
            removed: false,
            paused: false,
        }
    }

    /// Its first process runs.
    pub(crate) fn started(&mut self, pid: u32, at: String) {
        self.phase = Phase::Running { pid };
        self.paused = false;
        self.last = LastRun {
            started_at: at,
            finished_at: NEVER.into(),
            restarts: self.last.restarts,
            // Docker keeps the results of earlier runs.
            health: self.last.health.take().map(health::begin),
            ..LastRun::default()
        };
    }

    /// It could not be started.
    pub(crate) fn failed_to_start(&mut self, code: i32, error: String) {
        self.last.exit_code = code;
        self.last.error = error;
        self.exits += 1;
        self.paused = false;
        self.phase = if self.last.started_at == NEVER {
            Phase::Created
        } else {
            Phase::Exited
        };
    }

    /// Its first process ended; `restart` when the policy starts it again.
    pub(crate) fn ended(&mut self, exit: &Exit, restart: bool) {
        self.last.exit_code = exit.code;
        self.last.oom_killed = exit.oom_killed;
        self.last.finished_at.clone_from(&exit.at);
        self.last.error.clone_from(&exit.error);
        health::stop(&mut self.last.health);
        self.exits += 1;
        self.paused = false;
        if self.phase != Phase::Removing {
            self.phase = if restart {
                Phase::Restarting
            } else {
                Phase::Exited
            };
        }
    }

    /// The user starts it: the policy begins anew.
    pub(crate) fn forget_restarts(&mut self) {
        self.last.restarts = 0;
        self.quick_ends = 0;
    }

    /// Whether a process of it may live.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// What its checks say.
    pub(crate) fn health(&self) -> HealthStatus {
        self.last
            .health
            .as_ref()
            .map_or(HealthStatus::None, |h| h.status)
    }

    /// Docker's word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self.phase {
            Phase::Created => "created",
            Phase::Running { .. } if self.paused => "paused",
            Phase::Running { .. } => "running",
            Phase::Restarting => "restarting",
            Phase::Exited => "exited",
            Phase::Removing => "removing",
        }
    }

    /// The process's number on the host, 0 when there is none.
    pub(crate) fn pid(&self) -> u32 {
        match self.phase {
            Phase::Running { pid } => pid,
            _ => 0,
        }
    }

    /// Docker's sentence for people: `Up 3 minutes`, `Exited (0) 2 hours ago`.
    pub(crate) fn sentence(&self, now: jiff::Timestamp) -> String {
        match self.phase {
            Phase::Created => "Created".into(),
            Phase::Removing => "Removal In Progress".into(),
            Phase::Running { .. } => {
                let up = format!("Up {}", clock::since(&self.last.started_at, now));
                match self.health() {
                    _ if self.paused => format!("{up} (Paused)"),
                    HealthStatus::None => up,
                    HealthStatus::Starting => format!("{up} (health: starting)"),
                    decided => format!("{up} ({})", decided.word()),
                }
            }
            Phase::Restarting => format!(
                "Restarting ({}) {} ago",
                self.last.exit_code,
                clock::since(&self.last.finished_at, now)
            ),
            Phase::Exited => format!(
                "Exited ({}) {} ago",
                self.last.exit_code,
                clock::since(&self.last.finished_at, now)
            ),
        }
    }
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    pub code: i32,
    /// RFC 3339.
    pub at: String,
    pub oom_killed: bool,
    /// Why, where it did not end by itself.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_from_start_to_end() {
        let mut state = State::at_rest(None);
        assert_eq!((state.word(), state.pid()), ("created", 0));
        state.started(7, "2026-01-01T00:00:00Z".into());
        assert_eq!((state.word(), state.pid()), ("running", 7));
        let exit = Exit {
            code: 3,
            at: "2026-01-01T00:00:05Z".into(),
            ..Exit::default()
        };
        state.ended(&exit, false);
        assert_eq!(
            (state.word(), state.last.exit_code, state.exits),
            ("exited", 3, 1)
        );
        let now = "2026-01-01T00:01:05Z".parse().unwrap();
        assert_eq!(state.sentence(now), "Exited (3) About a minute ago");
    }

    #[test]
    fn a_failed_start_leaves_it_created_as_docker_does() {
        let mut state = State::at_rest(None);
        state.failed_to_start(127, "not found".into());
        assert_eq!((state.word(), state.last.exit_code), ("created", 127));
    }

    #[test]
    fn an_exit_does_not_undo_a_removal() {
        let mut state = State::at_rest(None);
        state.started(7, NEVER.into());
        state.phase = Phase::Removing;
        state.ended(&Exit::default(), true);
        assert_eq!(state.phase, Phase::Removing);
    }
}
