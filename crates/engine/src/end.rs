//! A container's end: noticed through its shim, and all that follows from it.

use std::{
    process::Child,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use runtime::{
    Remains, cleanup,
    protocol::{EXIT_FILE, Event, Request},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::{
    Engine, blocking, clock,
    container::Container,
    error::Result,
    files, health,
    link::Link,
    nets::Place,
    start::reap,
    state::{Exit, Phase},
    sync::lock,
};

/// The first pause before a policy's restart; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the kernel may take to end a shim that was killed.
const SHIM_PATIENCE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};
/// A run as long as this makes the next pause the first again.
const GOOD_RUN: i64 = 10;

impl Engine {
    /// Follows a running container to its end. `child` where this daemon started the shim.
    pub(crate) fn supervise(
        self: &Arc<Self>,
        container: &Arc<Container>,
        mut link: Link,
        child: Option<Child>,
    ) {
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        tokio::spawn(async move {
            let exit = engine.follow(&container, &mut link).await;
            match (exit, child) {
                (Some(exit), child) => {
                    drop(link);
                    if let Some(child) = child {
                        reap(child);
                    }
                    engine.ended(&container, exit).await;
                }
                // Killed: what it held, published ports among them, is free when it is quite gone.
                (None, child) => {
                    tracing::error!(
                        container = %container.id, "the shim is gone; its container is ended"
                    );
                    gone(child, link.peer()).await;
                    engine
                        .ended(&container, recorded_exit(&container).unwrap_or_else(lost))
                        .await;
                }
            }
        });
    }

    /// How it ended; `None` when its shim went without a word.
    pub(crate) async fn follow(&self, container: &Container, link: &mut Link) -> Option<Exit> {
        // A container that ended at once took its shim along: no failure, its exit is on file.
        let over = |e: &std::io::Error| {
            use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            matches!(e.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
        };
        let watching = link.ask(Request::Watch).await;
        let watched = watching.is_ok();
        let mut failure = watching.err().filter(|e| !over(e));
        while watched && failure.is_none() {
            match link.event().await {
                Ok(Some(Event::Exited(exit))) => {
                    if exit.log_lost > 0 {
                        tracing::warn!(
                            container = %container.id, lines = exit.log_lost,
                            "output was lost: it could not be written to the log"
                        );
                    }
                    return Some(exit.into());
                }
                Ok(Some(Event::ExecExited { id, exit })) => self.exec_ended(&id, exit.code),
                Ok(Some(Event::Started { .. })) => {}
                Ok(None) => break,
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure {
            tracing::warn!(container = %container.id, %error, "the connection to the shim broke");
        }
        recorded_exit(container)
    }

    /// Everything that follows from a container's end. Each step can be repeated, and the run
    /// directory goes last: a daemon that dies in between begins again.
    pub(crate) async fn ended(self: &Arc<Self>, container: &Arc<Container>, exit: Exit) {
        self.execs_over(container);
        sys::failpoint!("engine.end.seen");
        self.clear_run_keeping_exit(container).await;
        sys::failpoint!("engine.end.cleared");
        let state = container.state();
        let restart = state.phase != Phase::Removing
            && container.with_record(|r| r.restarts_after(exit.code, state.last.restarts));
        let ran = clock::unix(&exit.at) - clock::unix(&state.last.started_at);
        let mut last = state.last;
        last.exit_code = exit.code;
        last.oom_killed = exit.oom_killed;
        last.finished_at.clone_from(&exit.at);
        last.error.clone_from(&exit.error);
        health::stop(&mut last.health);
        let goes = container.goes_with_its_end();
        let mut kept = true;
        if !goes {
            kept = self.keep_last(container, last).await;
            sys::failpoint!("engine.end.recorded");
        }
        // Where it could not be put on record the next daemon shall find how it ended.
        if kept {
            self.remove_run_dir(container).await;
        }
        container.drop_waiting();
        let stops = container.stops.load(Ordering::Relaxed);
        container.change_state(|s| {
            if goes {
                // Nobody starts it any more.
                s.phase = Phase::Removing;
            }
            s.ended(&exit, restart);
        });
        if exit.oom_killed {
            self.tell(container, "oom", &[]);
        }
        self.tell(
            container,
            "die",
            &[
                ("exitCode", exit.code.to_string()),
                ("execDuration", ran.max(0).to_string()),
            ],
        );
        self.tell_networks(container, "disconnect");
        self.tell_unmounted(container);
        if restart {
            self.restart_later(container, ran, stops);
        } else if goes {
            self.remove_ended(container).await;
        }
    }

    /// Starts the container again after a pause, unless its user does something before.
    pub(crate) fn restart_later(
        self: &Arc<Self>,
        container: &Arc<Container>,
        ran: i64,
        stops: u64,
    ) {
        let quick = container.change_state(|s| {
            s.quick_ends = if ran >= GOOD_RUN { 0 } else { s.quick_ends + 1 };
            s.quick_ends
        });
        let factor = 2_u32.saturating_pow(quick.saturating_sub(1).min(16));
        let pause = (FIRST_PAUSE * factor).min(LONGEST_PAUSE);
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let _op = container.op.lock().await;
            let off = container.stops.load(Ordering::Relaxed) != stops
                || container.state().phase != Phase::Restarting;
            if off {
                return;
            }
            container.change_state(|s| s.last.restarts += 1);
            engine.policy_start(&container, stops).await;
        });
    }

    /// Starts a container that its policy wants running, whose `op` lock the caller holds; where
    /// that fails, again later.
    pub(crate) async fn policy_start(self: &Arc<Self>, container: &Arc<Container>, stops: u64) {
        let Err(error) = self.start_locked(container).await else {
            return;
        };
        tracing::warn!(container = %container.id, %error, "the policy's start failed");
        let last = container.state().last;
        if container.with_record(|r| r.restarts_after(last.exit_code, last.restarts)) {
            container.change_state(|s| s.phase = Phase::Restarting);
            self.restart_later(container, 0, stops);
        }
    }

    /// Ends and removes everything of a run: processes, cgroup, the runtime's state, address and
    /// ports, run directory.
    pub(crate) async fn clear_run(&self, container: &Arc<Container>) {
        self.clear_run_keeping_exit(container).await;
        self.remove_run_dir(container).await;
    }

    async fn clear_run_keeping_exit(&self, container: &Arc<Container>) {
        // From here on a network is one for the next start.
        let mut wired = container.wired.lock().await;
        *wired = false;
        *lock(&container.place) = Place::default();
        let (network, id) = (Arc::clone(&self.network), container.id.clone());
        let (names, relays) = (Arc::clone(&self.names), Arc::clone(&self.relays));
        let (cgroup, root) = (
            container.with_record(|r| self.cgroup(r)),
            self.runtime_root(),
        );
        let cleared = blocking(move || {
            // First, as its descriptors hold the namespace.
            names.ended(&id);
            // Before anybody else may have its ports.
            relays.ended(&id);
            let cleaned = cleanup(Remains {
                id: &id,
                cgroup: &cgroup,
                runtime_root: &root,
            });
            // Always: a start that broke off may have an address that nobody noted.
            let disconnected = network.forget(&id);
            cleaned?;
            Ok(disconnected?)
        });
        if let Err(error) = cleared.await {
            tracing::warn!(container = %container.id, %error, "not everything of a run could be removed");
        }
        drop(wired);
        // Last: nothing of the container is in them any more, and a driver may take its time.
        self.release_volumes(container).await;
    }

    async fn remove_run_dir(&self, container: &Arc<Container>) {
        let removing = Arc::clone(container);
        let removed = blocking(move || {
            let _notes = lock(&removing.notes);
            files::remove_dir(&removing.run_dir)
        });
        if let Err(error) = removed.await {
            tracing::warn!(container = %container.id, %error, "the run directory stays");
        }
    }
}

/// Waits until a shim that was killed is gone: our child, or the process `peer`. (That one is not
/// killed for good measure: by now its number may be another's.)
async fn gone(child: Option<Child>, peer: Option<i32>) {
    let work = move || {
        if let Some(mut child) = child {
            // Whatever closed the connection: without one it is of no use.
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        let pidfd = peer
            .and_then(Pid::from_raw)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(pidfd) = pidfd {
            let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
            // Readable when it has ended.
            let _ = poll(&mut fds, Some(&SHIM_PATIENCE));
        }
    };
    // There is nothing to be done about a failure.
    let _ = tokio::task::spawn_blocking(work).await;
}

/// The exit that a shim wrote down before it went.
pub(crate) fn recorded_exit(container: &Container) -> Option<Exit> {
    let bytes = std::fs::read(container.run_dir.join(EXIT_FILE)).ok()?;
    serde_json::from_slice::<runtime::protocol::Exit>(&bytes)
        .ok()
        .map(Exit::from)
}

/// The exit of a container whose shim was killed: nobody saw how it ended.
pub(crate) fn lost() -> Exit {
    Exit {
        code: 137,
        at: Timestamp::now().to_string(),
        oom_killed: false,
        error: "its shim was killed, so the container was ended".into(),
    }
}

impl From<runtime::protocol::Exit> for Exit {
    fn from(exit: runtime::protocol::Exit) -> Self {
        let lost = (exit.log_lost > 0).then(|| {
            format!(
                "{} lines of output could not be written to the log",
                exit.log_lost
            )
        });
        Self {
            code: exit.code,
            at: exit.finished_at,
            oom_killed: exit.oom_killed,
            error: exit.error.or(lost).unwrap_or_default(),
        }
    }
}

/// Says a result that only matters when it failed.
pub(crate) fn log_failure(container: &Container, what: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!(container = %container.id, %error, "{what}");
    }
}
