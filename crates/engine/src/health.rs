//! Health checks of running containers: when they run, and what is told of them.

mod machine;
mod probe;
mod tree;

use std::{fs, sync::Arc, time::Duration};

use jiff::Timestamp;
pub(crate) use machine::{begin, check, fresh, stop};
use types::container::{Health, HealthResult, HealthStatus};

use crate::{
    Engine, blocking, container::Container, error::Error, files, start::RUN_FILE, state::State,
    sync::lock,
};
use machine::Checks;

/// Where a running container's health is kept for the next daemon.
const FILE: &str = "health.json";

/// Whether a container is checked while it runs.
pub(crate) fn is_checked(container: &Container) -> bool {
    container.with_record(|r| Checks::of(&r.config)).is_some()
}

/// The health of a running container that the last daemon knew.
pub(crate) fn known(container: &Container) -> Option<Health> {
    if !is_checked(container) {
        return None;
    }
    let bytes = fs::read(container.run_dir.join(FILE)).ok();
    let known = bytes.and_then(|b| serde_json::from_slice(&b).ok());
    Some(known.unwrap_or_else(fresh))
}

impl Engine {
    /// Checks a container that just began to run, or was found running, until it ends.
    pub(crate) fn watch_health(self: &Arc<Self>, container: &Arc<Container>) {
        let Some(checks) = container.with_record(|r| Checks::of(&r.config)) else {
            return;
        };
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        let run = container.state().exits;
        tokio::spawn(async move { engine.check_health(&container, &checks, run).await });
    }

    /// Checks one run. Nothing is checked while it is paused.
    async fn check_health(self: &Arc<Self>, container: &Arc<Container>, checks: &Checks, run: u64) {
        let over = move |s: &State| s.exits != run || !s.is_running();
        let mut state = container.watch();
        loop {
            // The sender lives in the container.
            let _ = state.wait_for(|s| over(s) || !s.paused).await;
            let now = container.state();
            if over(&now) {
                return;
            }
            let pause = checks.pause(ran(&now, Timestamp::now()), now.health());
            let stopped = async {
                let _ = state.wait_for(|s| over(s) || s.paused).await;
            };
            tokio::pin!(stopped);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = &mut stopped => continue,
            }
            if let Some(result) = self.probe(container, checks, stopped).await {
                self.judge(container, checks, run, result).await;
            }
        }
    }

    /// Takes in what a check of the run `run` said.
    async fn judge(
        &self,
        container: &Arc<Container>,
        checks: &Checks,
        run: u64,
        result: HealthResult,
    ) {
        let begun = result.start.parse().unwrap_or_else(|_| Timestamp::now());
        let judged = container.change_state(|s| {
            if s.exits != run || !s.is_running() || s.paused {
                return None;
            }
            let ran = ran(s, begun);
            let health = s.last.health.get_or_insert_with(fresh);
            let changed = checks.judge(health, ran, result);
            Some((health.clone(), changed))
        });
        let Some((health, changed)) = judged else {
            return;
        };
        self.note_health(container, health).await;
        sys::failpoint!("engine.health.noted");
        if let Some(status) = changed {
            self.tell_health(container, status);
        }
    }

    fn tell_health(&self, container: &Container, status: HealthStatus) {
        self.tell(container, &format!("health_status: {}", status.word()), &[]);
    }

    /// Nothing is checked while it stands still, which Docker calls unhealthy.
    pub(crate) async fn pause_health(&self, container: &Arc<Container>) {
        let health = container.change_state(|s| {
            stop(&mut s.last.health);
            s.last.health.clone()
        });
        if let Some(health) = health {
            self.note_health(container, health).await;
        }
    }

    /// For the next daemon, without waiting for the disk: a reboot ends what it tells of.
    async fn note_health(&self, container: &Arc<Container>, health: Health) {
        let target = Arc::clone(container);
        let noted = blocking(move || {
            let _notes = lock(&target.notes);
            if !target.run_dir.join(RUN_FILE).exists() {
                // It ended meanwhile.
                return Ok(());
            }
            let path = target.run_dir.join(FILE);
            let bytes = serde_json::to_vec(&health)
                .map_err(|e| Error::path("write", &path)(std::io::Error::other(e)))?;
            files::replace(&path, &bytes, 0o600)
        });
        crate::end::log_failure(container, "its health is not noted", noted.await);
    }
}

/// How long a container had been running at `then`.
fn ran(state: &State, then: Timestamp) -> Duration {
    let started = state.last.started_at.parse::<Timestamp>();
    let ran = started.map(|s| then.duration_since(s));
    ran.ok()
        .and_then(|r| Duration::try_from(r).ok())
        .unwrap_or_default()
}
