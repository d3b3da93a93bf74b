//! A daemon's start: what is on record and what really runs are brought together.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use runtime::{
    Remains, cleanup,
    protocol::{self, Request, Response, Status},
};

use types::container::NetworkingConfig;

use crate::{
    Engine, blocking,
    build_step::CGROUP_FILE,
    container::Container,
    end::{lost, recorded_exit},
    error::{Error, Result},
    files, health,
    link::Link,
    record::Record,
    records::Table,
    start::{self, RUN_FILE, RunState},
    state::Exit,
    sync::lock,
};

/// How long a shim that is just starting its container may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was found of a container.
enum Found {
    /// Nothing runs, and nothing of a run is left.
    AtRest,
    /// Its process runs.
    Running { link: Link, pid: u32, run: RunState },
    /// It ran, and ended while no daemon was there.
    Ended { exit: Exit, run: RunState },
    /// Its process could not be started, and nobody heard.
    Failed(Exit),
    /// A start broke off before its process ran.
    Broken,
}

impl Engine {
    /// Finds again what runs, finishes what was begun, removes what belongs to nobody, starts what
    /// a policy wants running.
    pub(crate) async fn restore(self: &Arc<Self>) -> Result<()> {
        self.load_networks().await?;
        let records: Vec<Record> = self.records.all(Table::Containers).await?;
        let known: BTreeSet<String> = records.iter().map(|r| r.id.clone()).collect();
        self.remove_orphans(&known).await?;
        let mut live = Vec::new();
        let mut looks = Vec::new();
        for mut record in records {
            if !record.knows_networks() {
                record.networks =
                    self.attachments(&mut record.host_config, NetworkingConfig::default())?;
            }
            let container = self.container(record);
            {
                let mut index = lock(&self.containers);
                index.reserve(&container.name(), &container.id)?;
                index.add(&container);
            }
            let found = look(&container).await;
            if !matches!(found, Found::AtRest) {
                self.adopt_volumes(&container);
            }
            if let Found::Running { run, .. } = &found {
                let place = run.place();
                live.push(network::Living {
                    id: container.id.clone(),
                    endpoints: place.endpoints.clone().into_iter().collect(),
                    published: place.published.clone(),
                });
                *lock(&container.place) = place;
                *container.wired.lock().await = true;
            }
            looks.push((container, found));
        }
        // Now that all are known, as some are linked to others.
        let mut named = Vec::new();
        for (container, found) in &looks {
            if let Found::Running { run, pid, .. } = found {
                let known = self.name_living(&container.record(), *pid, &run.place());
                named.extend(known.map(|known| (container.id.clone(), known)));
            }
        }
        let carried = live.iter().filter_map(|one| {
            let container = looks.iter().find(|(c, _)| c.id == one.id);
            let dir = container.map(|(c, _)| c.run_dir.clone())?;
            Some((one.id.clone(), one.published.clone(), dir))
        });
        self.relays.restore(carried);
        let (network, names) = (Arc::clone(&self.network), Arc::clone(&self.names));
        blocking(move || {
            network.restore(&live)?;
            // What was known is answered meanwhile. Before anything starts or ends here.
            if let Err(error) = names.restore(named) {
                tracing::error!(%error, "containers find no names, or old ones");
            }
            // From here on a foreign `nft flush ruleset` is noticed and repaired.
            Ok(network.watch()?)
        })
        .await?;
        let mut ended = Vec::new();
        for (container, found) in looks {
            match found {
                Found::Running { link, pid, run } => {
                    self.thaw_after_copy(&container).await;
                    let (frozen, health) =
                        (self.is_frozen(&container).await, health::known(&container));
                    container.change_state(|s| {
                        start::adopted(s, pid, &run);
                        s.last.health = health;
                        s.paused = frozen;
                    });
                    self.watch_health(&container);
                    self.reconcile_networks(&container).await;
                    self.supervise(&container, link, None);
                }
                Found::Ended { exit, run } => {
                    let health = health::known(&container);
                    container.change_state(|s| {
                        start::adopted(s, 0, &run);
                        s.last.health = health;
                    });
                    self.ended(&container, exit).await;
                }
                Found::Failed(exit) => {
                    self.clear_run(&container).await;
                    let last = container.change_state(|s| {
                        s.failed_to_start(exit.code, exit.error);
                        s.last.clone()
                    });
                    self.keep_last(&container, last).await;
                    ended.push(container);
                }
                Found::Broken => {
                    self.clear_run(&container).await;
                    ended.push(container);
                }
                Found::AtRest => ended.push(container),
            }
        }
        self.volumes.tidy().await;
        self.start_wanted(ended).await;
        Ok(())
    }

    /// Of the containers that do not run: starts those that their policy wants, removes those
    /// that were to go with their end.
    async fn start_wanted(self: &Arc<Self>, containers: Vec<Arc<Container>>) {
        for container in containers {
            // A reboot ended it: nobody saw how.
            let unseen = container.with_record(|r| {
                r.last
                    .as_ref()
                    .is_some_and(|l| l.finished_at == types::container::NEVER)
            });
            if unseen || container.goes_with_its_end() {
                // Without a reboot, when somebody emptied the directory of runs, it may be there.
                self.clear_run(&container).await;
            }
            if unseen {
                container.change_state(|s| {
                    s.last.exit_code = 255;
                    s.last.finished_at = crate::clock::now();
                });
                let last = container.state().last;
                self.keep_last(&container, last).await;
            }
            let (wanted, counted) = container.with_record(|r| {
                let policy = &r.host_config.restart_policy.name;
                (r.starts_with_daemon(), policy == "on-failure")
            });
            if wanted {
                let engine = Arc::clone(self);
                tokio::spawn(async move {
                    let _op = container.op.lock().await;
                    if container.state().is_running() || container.state().removed {
                        // Its user was faster.
                        return;
                    }
                    if counted {
                        container.change_state(|s| s.last.restarts += 1);
                    }
                    let stops = container.stops.load(Ordering::Relaxed);
                    engine.policy_start(&container, stops).await;
                });
            } else if container.goes_with_its_end() {
                // As Docker, also where it never ran: whoever wanted it has lost the connection.
                self.remove_ended(&container).await;
            }
        }
    }

    /// Removes runs, directories and layers of containers that are not on record: a crash left
    /// them between two steps.
    async fn remove_orphans(&self, known: &BTreeSet<String>) -> Result<()> {
        let (images, runtime_root) = (self.images.clone(), self.runtime_root());
        let run_dirs = self.config.exec_root.join("containers");
        let data_dirs = self.config.data_root.join("containers");
        let parent = self.config.cgroup_parent.trim_matches('/').to_owned();
        let known = known.clone();
        for id in names(&run_dirs)?
            .into_iter()
            .filter(|id| !known.contains(id))
        {
            let dir = run_dirs.join(&id);
            if let Ok(mut link) = Link::connect(&dir).await {
                // A shim that waits for its start; one that runs a container ends with it below.
                let _ = link.ask(Request::Abandon).await;
            }
            tracing::info!(container = %id, "removing the run of a container that is not on record");
            let (root, parent, name) = (runtime_root.clone(), parent.clone(), id.clone());
            let removed = blocking(move || {
                let cgroup = read_cgroup(&dir).unwrap_or_else(|| format!("/{parent}/{id}"));
                cleanup(Remains {
                    id: &id,
                    cgroup: &cgroup,
                    runtime_root: &root,
                })?;
                files::remove_dir(&dir)
            });
            // What cannot be removed must not keep the daemon from all other containers.
            if let Err(error) = removed.await {
                tracing::error!(container = %name, %error, "not everything could be removed");
            }
        }
        blocking(move || {
            for id in names(&data_dirs)?
                .into_iter()
                .filter(|id| !known.contains(id))
            {
                files::remove_dir(&data_dirs.join(id))?;
            }
            for id in images
                .containers()
                .into_iter()
                .filter(|id| !known.contains(id))
            {
                images.remove_container(&id)?;
            }
            Ok(())
        })
        .await
    }
}

/// Looks at what a container left in its run directory.
async fn look(container: &Arc<Container>) -> Found {
    let dir = &container.run_dir;
    if !dir.exists() {
        return Found::AtRest;
    }
    let run = fs::read(dir.join(RUN_FILE)).ok();
    let run = run.and_then(|bytes| serde_json::from_slice::<RunState>(&bytes).ok());
    let Some(mut run) = run else {
        return Found::Broken;
    };
    let begun = Instant::now();
    while let Ok(mut link) = Link::connect(dir).await {
        match link.ask(Request::State).await {
            Ok(Response::State(protocol::State {
                status, pid, exit, ..
            })) => match status {
                Status::Running => {
                    let pid = pid.and_then(|p| u32::try_from(p).ok()).unwrap_or(0);
                    if run.started_at.is_empty() {
                        // The last daemon died between the start and its note.
                        run.started_at = unnoted_start(container);
                        let noted = start::write_run(container, &run);
                        crate::end::log_failure(container, "the start is not noted", noted);
                    }
                    return Found::Running { link, pid, run };
                }
                Status::Exited => {
                    if let Some(exit) = exit {
                        return over(container, exit.into(), run);
                    }
                    break;
                }
                Status::Created => {
                    let _ = link.ask(Request::Abandon).await;
                    return Found::Broken;
                }
                Status::Starting if begun.elapsed() > PATIENCE => break,
                // The runtime is at work: it ends one way or the other.
                Status::Starting => tokio::time::sleep(Duration::from_millis(5)).await,
            },
            _ => break,
        }
    }
    if let Some(exit) = recorded_exit(container) {
        return over(container, exit, run);
    }
    if run.started_at.is_empty() {
        Found::Broken
    } else {
        Found::Ended { exit: lost(), run }
    }
}

/// A run that is over: it ended, or it never began.
fn over(container: &Container, exit: Exit, mut run: RunState) -> Found {
    if run.started_at.is_empty() {
        if !exit.error.is_empty() {
            return Found::Failed(exit);
        }
        run.started_at = unnoted_start(container);
    }
    Found::Ended { exit, run }
}

/// When a container started whose daemon died before it could write that down: its run state was
/// written right before.
fn unnoted_start(container: &Container) -> String {
    crate::clock::written(&container.run_dir.join(RUN_FILE))
}

/// The cgroup that a bundle's configuration names.
fn read_cgroup(bundle: &Path) -> Option<String> {
    if let Ok(cgroup) = fs::read_to_string(bundle.join(CGROUP_FILE)) {
        return Some(cgroup);
    }
    let bytes = fs::read(bundle.join("config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    config["linux"]["cgroupsPath"].as_str().map(str::to_owned)
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let read = || -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    };
    read().map_err(Error::path("read", dir))
}
