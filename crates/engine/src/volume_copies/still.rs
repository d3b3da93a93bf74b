//! Containers that stand still while a volume of theirs is copied. They are paused as by their user,
//! who sees it and may end it. A mark in the run directory says that it was us: the next daemon lets
//! them go on when this one dies meanwhile.

use std::{sync::Arc, time::Duration};

use tokio::sync::OwnedMutexGuard;

use crate::{
    Engine,
    container::Container,
    end::log_failure,
    error::{Error, Result},
    record::MountKind,
    sync::lock,
};

/// The mark.
const MARK: &str = "still-for-copy";
/// How often a container that starts meanwhile is waited for.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(25);

/// Containers that stand still until this goes.
pub(super) struct Still {
    engine: Arc<Engine>,
    all: Vec<Arc<Container>>,
}

impl Still {
    pub(super) fn names(&self) -> Vec<String> {
        self.all.iter().map(|c| c.name()).collect()
    }

    /// Lets them go on.
    pub(super) async fn go_on(mut self) {
        let all = std::mem::take(&mut self.all);
        self.engine.let_all_go(all).await;
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        let all = std::mem::take(&mut self.all);
        if all.is_empty() {
            return;
        }
        // The work was broken off.
        let engine = Arc::clone(&self.engine);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { engine.let_all_go(all).await });
        }
    }
}

/// Whether the container may write to the volume.
fn writes(container: &Container, volume: &str) -> bool {
    container.with_record(|r| {
        let mut mounts = r.mounts.iter();
        mounts.any(|m| m.kind == MountKind::Volume && m.name == volume && !m.read_only)
    })
}

impl Engine {
    /// Those that use the volume now and may write to it.
    fn writers(&self, volume: &str) -> Vec<Arc<Container>> {
        let all = lock(&self.containers).all();
        let users = self.volumes.users(volume);
        all.into_iter()
            .filter(|c| users.contains(&c.id) && writes(c, volume))
            .collect()
    }

    /// Whether any container uses the volume now and may write to it.
    pub(super) fn is_written(&self, volume: &str) -> bool {
        !self.writers(volume).is_empty()
    }

    /// The volume's gate while nobody writes to it.
    pub(super) async fn quiet(
        self: &Arc<Self>,
        volume: &str,
    ) -> Result<(OwnedMutexGuard<()>, Still)> {
        let mut still = Still {
            engine: Arc::clone(self),
            all: Vec::new(),
        };
        for _ in 0..ATTEMPTS {
            // Without the gate: who starts or ends one of them waits for it.
            for container in self.writers(volume) {
                self.stand_still(&container, &mut still).await?;
            }
            let gate = self.volumes.gate(volume).await;
            let moving = |c: &Arc<Container>| !c.state().paused;
            if !self.writers(volume).iter().any(moving) {
                return Ok((gate, still));
            }
            drop(gate);
            // One of them is just starting or ending.
            tokio::time::sleep(PAUSE).await;
        }
        still.go_on().await;
        Err(Error::Conflict(format!(
            "volume {volume} cannot be copied: containers that use it start and end all the time"
        )))
    }

    async fn stand_still(&self, container: &Arc<Container>, still: &mut Still) -> Result<()> {
        if container.state().paused || !container.state().is_running() {
            return Ok(());
        }
        mark(container, true)?;
        still.all.push(Arc::clone(container));
        let paused = self.pause(&container.id).await;
        sys::failpoint!("engine.volume.still");
        match paused {
            Ok(()) => Ok(()),
            // It ended, or its user paused it.
            Err(Error::NotRunning(_) | Error::Conflict(_)) => {
                still.all.pop();
                mark(container, false)
            }
            Err(error) => Err(error),
        }
    }

    async fn let_all_go(&self, all: Vec<Arc<Container>>) {
        for container in all {
            match self.unpause(&container.id).await {
                // It was ended or unpaused meanwhile.
                Ok(()) | Err(Error::Conflict(_) | Error::NoSuchContainer(_)) => {}
                failed => log_failure(&container, "cannot go on after its volume's copy", failed),
            }
            log_failure(&container, "a mark stays", mark(&container, false));
        }
    }

    /// Lets a container go on that a daemon before this one has stopped for a copy.
    pub(crate) async fn thaw_after_copy(&self, container: &Arc<Container>) {
        if !container.run_dir.join(MARK).exists() {
            return;
        }
        log_failure(
            container,
            "cannot go on after its volume's copy",
            self.thaw(container).await,
        );
        log_failure(container, "a mark stays", mark(container, false));
    }
}

/// Sets or takes away the mark; a container that has ended has no directory for it.
fn mark(container: &Container, on: bool) -> Result<()> {
    let _notes = lock(&container.notes);
    let path = container.run_dir.join(MARK);
    let done = match on {
        true => std::fs::write(&path, ""),
        false => std::fs::remove_file(&path),
    };
    match done {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::path("mark the container", &path)(e))
        }
        _ => Ok(()),
    }
}
