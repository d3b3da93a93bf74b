//! Starting a container: root file system, network, configuration, shim, process.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    process::Child,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use runtime::{
    launch::ShimProcess,
    protocol::{FdRole, Launch, OWN_RUNTIME, Request, Response, Size, VERSION, mount_name},
};
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::{
    Engine, blocking, build_step, clock,
    container::Container,
    emulation,
    error::{Error, Result},
    files, health,
    join::Joined,
    link::Link,
    links::Linked,
    log_options,
    nets::Place,
    network_mode::NetworkMode,
    record::Record,
    remap::Remap,
    spec, spread,
    state::{Phase, State},
    sync::lock,
    trace::Trace,
    volumes,
};

/// What a running container's daemon must find again: one small file in its run directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunState {
    /// Where it is, by network.
    #[serde(default)]
    pub endpoints: BTreeMap<String, network::Endpoint>,
    #[serde(default)]
    pub published: network::Published,
    pub runtime_root: std::path::PathBuf,
    /// RFC 3339; empty until its process runs.
    pub started_at: String,
    pub restarts: u32,
}

/// Name of the [`RunState`] in the run directory.
pub(crate) const RUN_FILE: &str = "run.json";

/// How long a shim that could not start its container may take to write that down.
const SHIM_PATIENCE: Duration = Duration::from_secs(2);

/// A container whose shim stands ready.
pub(crate) struct Prepared {
    pub shim: ShimProcess,
    pub run: RunState,
}

impl Engine {
    /// Starts a container at the user's request.
    pub async fn start(self: &Arc<Self>, name: &str) -> Result<()> {
        let container = self.find(name)?;
        let op = container.op.lock().await;
        match container.state().phase {
            Phase::Running { .. } if container.state().paused => {
                return Err(Error::Conflict(
                    "cannot start a paused container, try unpause instead".into(),
                ));
            }
            Phase::Running { .. } => return Err(Error::NotModified("container already running")),
            Phase::Removing => {
                return Err(Error::Conflict(
                    "container is marked for removal and cannot be started".into(),
                ));
            }
            Phase::Created | Phase::Exited | Phase::Restarting => {}
        }
        // A restart that the policy had planned is this one.
        container.stops.fetch_add(1, Ordering::Relaxed);
        container.change_state(State::forget_restarts);
        let started = self.start_locked(&container).await;
        drop(op);
        if started.is_err() && container.goes_with_its_end() {
            self.remove_ended(&container).await;
        }
        started
    }

    /// Starts a container whose `op` lock the caller holds.
    pub(crate) async fn start_locked(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let started = self.try_start(container).await;
        let started = started.map_err(|error| self.explained(container, error));
        if let Err(error) = &started {
            container.drop_waiting();
            let code = match error {
                Error::Start { code, .. } => *code,
                _ => 128,
            };
            self.clear_run(container).await;
            let text = error.to_string();
            let last = container.change_state(|s| {
                s.failed_to_start(code, text);
                s.last.clone()
            });
            self.keep_last(container, last).await;
        }
        started
    }

    /// Says more of an error where the image is for another processor.
    fn explained(&self, container: &Container, error: Error) -> Error {
        let image = container.with_record(|r| self.images.get(&r.image_id));
        match image {
            Ok(image) => emulation::explained(error, &image.platform()),
            Err(_) => error,
        }
    }

    async fn try_start(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let mut trace = Trace::begin();
        if container.with_record(|r| r.stopped_by_user) {
            self.save(container, |r| r.stopped_by_user = false).await?;
        }
        self.make_volumes(container, &mut Vec::new()).await?;
        let mut joined = self.join(container).await?;
        joined.places = self.acquire_volumes(container).await?;
        trace.step("records");
        let (engine, target) = (Arc::clone(self), Arc::clone(container));
        let (Prepared { shim, run }, mut trace) = blocking(move || {
            let prepared = engine.prepare(&target, joined, &mut trace)?;
            Ok((prepared, trace))
        })
        .await?;
        *container.wired.lock().await = true;
        *lock(&container.place) = run.place();
        let ShimProcess { child, control } = shim;
        let started = self
            .launch_prepared(container, control, run, &mut trace)
            .await;
        let link = match started {
            Ok(link) => link,
            Err(error) => {
                // Its descriptors, published ports among them, are free when it is gone; so is the
                // runtime, which dies with it.
                end_shim(child, matches!(error, Error::Start { .. })).await;
                return Err(error);
            }
        };
        // Those who attached while it started.
        self.serve_waiting(container).await;
        self.tell_mounted(container);
        self.tell_networks(container, "connect");
        self.tell(container, "start", &[]);
        self.watch_health(container);
        self.tell_linked(container);
        self.supervise(container, link, Some(child));
        trace.step("note");
        trace.end(&container.id);
        self.note_started(container);
        Ok(())
    }

    /// Gives the shim the word, and notes what came of it.
    pub(crate) async fn launch_prepared(
        &self,
        container: &Arc<Container>,
        control: runtime::client::Connection,
        mut run: RunState,
        trace: &mut Trace,
    ) -> Result<Link> {
        let (stream, _) = control.into_parts();
        let mut link = stream
            .set_nonblocking(true)
            .and_then(|()| UnixStream::from_std(stream))
            .map(Link::over)
            .map_err(Error::io("talk to the shim"))?;
        self.serve_waiting(container).await;
        trace.step("attach");
        let answer = link.ask(Request::Start).await;
        let answer = answer.map_err(Error::io(format!("start container {}", container.id)));
        trace.step("runtime");
        let pid = match answer? {
            Response::Started { pid } => u32::try_from(pid).unwrap_or(0),
            Response::StartFailed { code, message } => return Err(Error::Start { code, message }),
            other => {
                return Err(Error::Io {
                    what: format!("start container {}", container.id),
                    source: std::io::Error::other(format!("the shim answered {other:?}")),
                });
            }
        };
        sys::failpoint!("engine.start.started");
        run.started_at = clock::now();
        write_run(container, &run)?;
        sys::failpoint!("engine.start.noted");
        let checked = health::is_checked(container);
        container.change_state(|s| {
            s.started(pid, run.started_at.clone());
            if checked {
                s.last.health.get_or_insert_with(health::fresh);
            }
        });
        Ok(link)
    }

    /// The blocking part: everything up to a shim that only waits for the word.
    pub(crate) fn prepare(
        &self,
        container: &Arc<Container>,
        mut joined: Joined,
        trace: &mut Trace,
    ) -> Result<Prepared> {
        let record = container.record();
        let linked = self.linked(&record)?;
        volumes::private_dir(&container.run_dir)?;
        // Somebody may have removed it, with the log.
        volumes::private_dir(&container.data_dir)?;
        let remap = self.remap(&record.host_config);
        if remap.is_some() {
            volumes::passable(&container.run_dir)?;
        }
        if let (Some(remap), None) = (remap, &joined.user) {
            let made = self.new_users(remap)?;
            joined.user = Some(made.user);
            joined.fresh_network = Some(made.network);
        }
        let rootfs = self.mount_root(&container.id, joined.user.as_ref(), remap)?;
        trace.step("rootfs");
        let mut run = RunState {
            endpoints: BTreeMap::new(),
            published: network::Published::default(),
            runtime_root: self.runtime_root(),
            started_at: String::new(),
            restarts: container.state().last.restarts,
        };
        let mut held = Vec::new();
        let netns = match NetworkMode::of(&record.host_config)? {
            NetworkMode::Host => None,
            NetworkMode::Container(_) => joined.network.take(),
            NetworkMode::None | NetworkMode::Bridge | NetworkMode::Own(_) => {
                let netns = self.new_netns(&record, &mut joined)?;
                trace.step("netns");
                let wired = self.wire(&record, netns.as_fd())?;
                run.endpoints = wired.place.endpoints;
                run.published = wired.place.published;
                held = wired.held;
                Some(netns)
            }
        };
        sys::failpoint!("engine.start.network");
        write_run(container, &run)?;
        trace.step("network");
        let others = linked.iter().map(|l| (l.names.clone(), l.ip.into()));
        let (resolv_conf, naming) = if self.has_names(&record) {
            let (text, naming) = self.named_resolv_conf(&record);
            (text, Some(naming))
        } else {
            (self.resolv_conf(&record)?, None)
        };
        files::write(
            container,
            record.hostname(),
            &self.hosts(
                &record,
                record.hostname(),
                &run.place().addresses(),
                others.collect(),
            )?,
            &resolv_conf,
            remap.map(Remap::root),
        )?;
        let mut warnings = Vec::new();
        let mut sources = self.mount_sources(&record, rootfs.as_fd(), &joined.places)?;
        let images = self.image_mounts(container, &record, joined.user.as_ref(), &mut sources)?;
        joined.rest.extend(images);
        joined
            .rest
            .extend(spread::open(&record, &container.run_dir, &mut sources)?);
        for (index, mount, path) in std::mem::take(&mut joined.given) {
            if let Some(source) = sources.get_mut(index as usize) {
                *source = container.run_dir.join(mount_name(index)).join(path);
                joined.rest.push((FdRole::Mount { index }, mount));
            }
        }
        let names = linked.iter().flat_map(Linked::environment).collect();
        let place = spec::Place {
            root: rootfs.as_fd(),
            sources: &sources,
            linked: names,
            remap,
        };
        let built = spec::build(self, container, &record, place)?;
        warnings.extend(built.warnings);
        for warning in warnings {
            tracing::warn!(container = %container.id, "{warning}");
        }
        if joined.secret {
            let index = u32::try_from(sources.len()).unwrap_or(u32::MAX);
            let cgroup = self.cgroup(&record);
            let place = build_step::configure(&container.run_dir, &built.json, &cgroup, index)?;
            joined.rest.push(place);
        } else {
            files::replace(&container.run_dir.join("config.json"), &built.json, 0o600)?;
        }
        sys::failpoint!("engine.start.configured");
        trace.step("configuration");
        let mut fds: Vec<BorrowedFd<'_>> = vec![rootfs.as_fd()];
        let mut roles = vec![FdRole::Rootfs];
        if let Some(netns) = &netns {
            fds.push(netns.as_fd());
            roles.push(FdRole::Netns);
        }
        for (role, fd) in &joined.rest {
            fds.push(fd.as_fd());
            roles.push(*role);
        }
        if let Some(user) = &joined.user {
            fds.push(user.as_fd());
            roles.push(FdRole::Userns);
        }
        if let Some(filter) = &built.filter {
            fds.push(filter.as_file().as_fd());
            roles.push(FdRole::Seccomp);
        }
        fds.extend(held.iter().map(AsFd::as_fd));
        roles.extend(held.iter().map(|_| FdRole::Held));
        let launch = self.launch(container, &record, roles)?;
        let mut shim = runtime::launch::spawn(&self.shim, &launch, &fds)?;
        self.relays.started(
            &record.id,
            &run.published,
            &container.run_dir,
            &held,
            &shim.child,
        );
        sys::failpoint!("engine.start.shim");
        trace.step("shim");
        if let (Some(naming), Some(netns)) = (naming, &netns) {
            let named = self.name_starting(&record, &run.place(), naming, netns, &shim.child);
            if let Err(error) = named {
                // Nothing happens to one that has ended.
                let _ = shim.child.kill();
                let _ = shim.child.wait();
                return Err(error);
            }
            trace.step("names");
        }
        Ok(Prepared { shim, run })
    }

    fn launch(&self, container: &Container, record: &Record, fds: Vec<FdRole>) -> Result<Launch> {
        let host = &record.host_config;
        let runtime = self.config.runtimes.get(&host.runtime).ok_or_else(|| {
            Error::Invalid(format!("unknown or invalid runtime name: {}", host.runtime))
        })?;
        let [height, width] = host.console_size;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(Launch {
            version: VERSION,
            id: container.id.clone(),
            bundle: text(&container.run_dir),
            runtime: text(runtime),
            runtime_root: text(&self.runtime_root()),
            cgroup: self.cgroup(record),
            tty: record.config.tty,
            owner: self.remap(host).map(Remap::root),
            size: (width > 0 && height > 0).then_some(Size { width, height }),
            open_stdin: record.config.open_stdin,
            stdin_once: record.config.stdin_once,
            log: container.log().map(|log| text(&log.path)),
            log_options: log_options::for_shim(record)?.unwrap_or_default(),
            fds,
        })
    }

    /// Connects those who attached before the container ran.
    pub(crate) async fn serve_waiting(&self, container: &Container) {
        let waiting = std::mem::take(&mut *lock(&container.waiting));
        for one in waiting {
            match self.link(container, one.options).await {
                // Whoever attached may have gone away meanwhile.
                Ok(link) => _ = one.link.send(link),
                Err(error) => {
                    tracing::warn!(container = %container.id, %error, "an early attach failed");
                }
            }
        }
    }

    /// Does the shim itself start this container?
    pub(crate) fn own_runtime(&self, host: &types::container::HostConfig) -> bool {
        self.config
            .runtimes
            .get(&host.runtime)
            .is_some_and(|path| path == Path::new(OWN_RUNTIME))
    }

    /// Where the OCI runtime keeps its state.
    pub(crate) fn runtime_root(&self) -> std::path::PathBuf {
        self.config.exec_root.join("runtime")
    }

    /// The container's cgroup.
    pub(crate) fn cgroup(&self, record: &Record) -> String {
        let asked = record.host_config.cgroup_parent.trim_matches('/');
        let parent = if asked.is_empty() {
            self.config.cgroup_parent.trim_matches('/')
        } else {
            asked
        };
        format!("/{parent}/{}", record.id)
    }
}

/// Writes the run state; without fsync, because a reboot ends what it tells of.
pub(crate) fn write_run(container: &Container, run: &RunState) -> Result<()> {
    let path = container.run_dir.join(RUN_FILE);
    let bytes = serde_json::to_vec(run)
        .map_err(|e| Error::path("write", &path)(std::io::Error::other(e)))?;
    files::replace(&path, &bytes, 0o600)
}

/// Changes the run state of a container that runs.
pub(crate) fn change_run(container: &Container, change: impl FnOnce(&mut RunState)) -> Result<()> {
    let _notes = lock(&container.notes);
    let path = container.run_dir.join(RUN_FILE);
    let bytes = std::fs::read(&path).map_err(Error::path("read", &path))?;
    let mut run: RunState = serde_json::from_slice(&bytes)
        .map_err(|e| Error::path("read", &path)(std::io::Error::other(e)))?;
    change(&mut run);
    write_run(container, &run)
}

impl RunState {
    /// Where it is in its networks.
    pub(crate) fn place(&self) -> Place {
        Place {
            endpoints: self.endpoints.clone(),
            published: self.published.clone(),
        }
    }
}

/// Waits for a shim whose container did not start. One that `ends` by itself is given a moment.
pub(crate) async fn end_shim(mut child: Child, ends: bool) {
    let work = move || {
        let end = Instant::now() + SHIM_PATIENCE;
        while ends && matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Nothing happens to one that has ended.
        let _ = child.kill();
        child.wait()
    };
    // There is nothing to be done about a failure.
    let _ = tokio::task::spawn_blocking(work).await;
}

/// Waits for a shim that ended or is about to, so that it does not stay as a zombie.
pub(crate) fn reap(mut child: Child) {
    tokio::task::spawn_blocking(move || child.wait());
}

/// The state after a daemon's start, of a container that is found running.
pub(crate) fn adopted(state: &mut State, pid: u32, run: &RunState) {
    state.last.restarts = run.restarts;
    state.started(pid, run.started_at.clone());
}
