//! Ending a container at the user's request.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use runtime::protocol::Request;

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    signals,
    state::{Phase, State},
};

/// Seconds between the stop signal and SIGKILL where nobody says otherwise.
const PATIENCE: i64 = 10;
/// How long the kernel may take to end a process after SIGKILL before we say so.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

impl Engine {
    /// Stops a container: its stop signal, then SIGKILL after `timeout` seconds (negative: never).
    pub async fn stop(
        self: &Arc<Self>,
        name: &str,
        signal: Option<&str>,
        timeout: Option<i64>,
    ) -> Result<()> {
        let container = self.find(name)?;
        let signal = stop_signal(&container, signal)?;
        self.end_run(&container, signal, timeout).await
    }

    /// Stops a container if it runs, and starts it.
    pub async fn restart(
        self: &Arc<Self>,
        name: &str,
        signal: Option<&str>,
        timeout: Option<i64>,
    ) -> Result<()> {
        let container = self.find(name)?;
        let signal = stop_signal(&container, signal)?;
        // With --rm it would be gone before it could start again.
        let held = container.hold();
        let ended = self.end_run(&container, signal, timeout).await;
        drop(held);
        match ended {
            Ok(()) | Err(Error::NotModified(_)) => {}
            Err(error) => return Err(error),
        }
        let _op = container.op.lock().await;
        let state = container.state();
        if state.phase == Phase::Removing || state.removed {
            return Err(Error::Conflict(
                "container is marked for removal and cannot be started".into(),
            ));
        }
        // Unless somebody else was as quick: then it runs anew, which is what was asked for.
        if !state.is_running() {
            container.change_state(State::forget_restarts);
            self.start_locked(&container).await?;
        }
        self.tell(&container, "restart", &[]);
        Ok(())
    }

    /// Sends a signal.
    pub async fn kill(&self, name: &str, signal: Option<&str>) -> Result<()> {
        let signal = signal
            .filter(|s| !s.is_empty())
            .map_or(Ok(signals::KILL), signals::parse)?;
        let container = self.find(name)?;
        let not_running = || {
            Error::Conflict(format!(
                "cannot kill container: {name}: container {} is not running",
                container.id
            ))
        };
        if container.state().phase == Phase::Restarting {
            // Waits for a restart that is under way: what it started is killed below.
            let _op = container.op.lock().await;
            if container.state().phase == Phase::Restarting {
                // Docker: killing what waits for its restart takes the restart away.
                self.no_restart(&container).await?;
                container.change_state(|s| s.phase = Phase::Exited);
                return Ok(());
            }
        }
        let state = container.state();
        let run = state.exits;
        if !state.is_running() {
            return Err(not_running());
        }
        let stop = container
            .with_record(|r| signals::parse(&r.config.stop_signal))
            .ok();
        if signal == signals::KILL || Some(signal) == stop.or(Some(signals::TERM)) {
            self.no_restart(&container).await?;
        }
        let sent = self.ask(&container, Request::Signal { exec: None, signal });
        sent.await.map_err(|error| match error {
            Error::NotRunning(_) => not_running(),
            error => error,
        })?;
        self.tell(&container, "kill", &[("signal", signal.to_string())]);
        // As Docker: also with any signal to a container that has no stop signal of its own.
        if signal == signals::KILL || stop.is_none_or(|stop| stop == signal) {
            self.let_go(&container).await;
        }
        if signal == signals::KILL {
            // As Docker: what cannot be refused has happened when this returns.
            container.ends_now(run).await;
        }
        Ok(())
    }

    /// Remembers that the user ended it, before it ends.
    async fn no_restart(&self, container: &Container) -> Result<()> {
        container.stops.fetch_add(1, Ordering::Relaxed);
        let policy = container.with_record(|r| r.host_config.restart_policy.name.clone());
        if matches!(policy.as_str(), "" | "no") {
            container.change_record(|r| r.stopped_by_user = true);
        } else {
            self.save(container, |r| r.stopped_by_user = true).await?;
            sys::failpoint!("engine.stop.recorded");
        }
        Ok(())
    }

    /// Ends a container's run: `signal`, then SIGKILL after `timeout` seconds. A restart to come
    /// is off.
    ///
    /// The lock is not held while waiting: who waits for long must not keep others from stopping
    /// it sooner, or from removing it.
    async fn end_run(
        self: &Arc<Self>,
        container: &Arc<Container>,
        signal: i32,
        timeout: Option<i64>,
    ) -> Result<()> {
        let op = container.op.lock().await;
        match container.state().phase {
            Phase::Running { .. } => {}
            Phase::Restarting => {
                self.no_restart(container).await?;
                container.change_state(|s| s.phase = Phase::Exited);
                return Ok(());
            }
            _ => return Err(Error::NotModified("container already stopped")),
        }
        self.no_restart(container).await?;
        let mut state = container.watch();
        // Of this run: another one may begin as soon as it is over.
        let run = state.borrow_and_update().exits;
        let timeout = timeout
            .or_else(|| container.with_record(|r| r.config.stop_timeout))
            .unwrap_or(PATIENCE);
        self.signal(container, signal).await?;
        drop(op);
        let ended = async {
            // The sender lives in the container.
            let over = state.wait_for(|s| s.exits != run || !s.is_running());
            let _ = over.await;
        };
        let in_time = match u64::try_from(timeout) {
            Ok(seconds) => tokio::time::timeout(Duration::from_secs(seconds), ended)
                .await
                .is_ok(),
            Err(_) => {
                ended.await;
                true
            }
        };
        if !in_time {
            let _op = container.op.lock().await;
            let now = container.state();
            if now.exits == run && now.is_running() {
                self.kill_and_wait(container).await?;
            }
        }
        self.tell(container, "stop", &[]);
        Ok(())
    }

    async fn signal(&self, container: &Arc<Container>, signal: i32) -> Result<()> {
        let sent = self
            .ask(container, Request::Signal { exec: None, signal })
            .await;
        // It may have ended by itself this very moment.
        if let Err(error) = sent
            && container.state().is_running()
        {
            tracing::debug!(container = %container.id, %error, "the signal was not taken");
        }
        self.tell(container, "kill", &[("signal", signal.to_string())]);
        self.let_go(container).await;
        Ok(())
    }

    /// What was sent to a paused container reaches it when it goes on.
    async fn let_go(&self, container: &Arc<Container>) {
        if container.state().paused {
            let thawed = self.thaw(container).await;
            crate::end::log_failure(container, "a paused container was not let go", thawed);
        }
    }

    /// SIGKILL, and waits for the end.
    pub(crate) async fn kill_and_wait(&self, container: &Arc<Container>) -> Result<()> {
        let mut state = container.watch();
        self.signal(container, signals::KILL).await?;
        let ended = state.wait_for(|s| !s.is_running());
        if tokio::time::timeout(KILL_PATIENCE, ended).await.is_err() {
            return Err(Error::Io {
                what: format!("end container {}", container.id),
                source: std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    "its process did not end within 30 s after SIGKILL; \
                     the kernel may be waiting for a device or a network file system",
                ),
            });
        }
        Ok(())
    }
}

fn stop_signal(container: &Container, asked: Option<&str>) -> Result<i32> {
    let own = container.with_record(|r| r.config.stop_signal.clone());
    match asked.filter(|s| !s.is_empty()) {
        Some(asked) => signals::parse(asked),
        None if own.is_empty() => Ok(signals::TERM),
        None => signals::parse(&own),
    }
}
