//! Containers that stand still while a volume of theirs is copied. They are paused as by their user,
//! who sees it and may end it. A mark in the run directory says that it was us: the next daemon lets
//! them go on when this one dies meanwhile.

use std::{
    io::ErrorKind,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

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
    /// Those that we paused.
    all: Vec<Arc<Container>>,
    /// All that could write, whoever paused them, and how often each had gone on by then.
    watched: Vec<(Arc<Container>, u64)>,
}

impl Still {
    pub(super) fn names(&self) -> Vec<String> {
        self.all.iter().map(|c| c.name()).collect()
    }

    /// Who went on in the meantime, if anybody did: what was copied is then not of one moment.
    pub(super) fn disturbed(&self) -> Option<String> {
        let went_on = |(c, thaws): &&(Arc<Container>, u64)| thaws_of(c) != *thaws;
        self.watched.iter().find(went_on).map(|(c, _)| c.name())
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

fn thaws_of(container: &Container) -> u64 {
    container.thaws.load(Ordering::SeqCst)
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
            watched: Vec::new(),
        };
        for _ in 0..ATTEMPTS {
            // Without the gate: who starts or ends one of them waits for it.
            for container in self.writers(volume) {
                self.stand_still(&container, &mut still).await?;
            }
            let gate = self.volumes.gate(volume).await;
            // Before they are looked at: who goes on after that is seen to have done so.
            let writers = self.writers(volume).into_iter();
            still.watched = writers.map(|c| (Arc::clone(&c), thaws_of(&c))).collect();
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
        if !mark(container, true)? {
            // Another copy is about to pause it.
            return Ok(());
        }
        still.all.push(Arc::clone(container));
        let paused = self.pause(&container.id).await;
        sys::failpoint!("engine.volume.still");
        match paused {
            Ok(()) => Ok(()),
            // It ended, or its user paused it.
            Err(Error::NotRunning(_) | Error::Conflict(_)) => {
                still.all.pop();
                mark(container, false).map(drop)
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
            let unmarked = mark(&container, false).map(drop);
            log_failure(&container, "a mark stays", unmarked);
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
        log_failure(container, "a mark stays", mark(container, false).map(drop));
    }
}

/// Sets or takes away the mark; whether that changed anything. A container that has ended has no
/// directory for it.
fn mark(container: &Container, on: bool) -> Result<bool> {
    let _notes = lock(&container.notes);
    let path = container.run_dir.join(MARK);
    let done = match on {
        true => std::fs::File::create_new(&path).map(drop),
        false => std::fs::remove_file(&path),
    };
    match done {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => Ok(false),
        Err(e) => Err(Error::path("mark the container", &path)(e)),
    }
}
