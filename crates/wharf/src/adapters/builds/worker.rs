//! What the builder needs of the engine and the registries.

use std::{collections::BTreeMap, io::Write, os::fd::BorrowedFd, sync::Arc, time::Duration};

use builder::{
    Command, Ended, Error, Fetched, MountSource, OnOutput, OnProgress, Result, StepNetwork,
};
use engine::{BuildStep, Engine, StepMount, StepSource};
use image::{
    Access, CacheRecord, CancellationToken, Digest, Held, Image, Platform, Pushed, Reference,
    RemoteCache,
};
use tokio::runtime::Handle;
use types::{
    ErrorKind, Failure,
    build::BuildRequest,
    container::{ContainerConfig, HostConfig},
    image::RegistryAuth,
};

/// Where Docker keeps credentials of its hub.
const HUB: [&str; 2] = ["https://index.docker.io/v1/", "docker.io"];

/// How long a build waits to hear what a cache has: it can do without.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Worker {
    engine: Arc<Engine>,
    runtime: Handle,
}

impl Worker {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            runtime: Handle::current(),
        }
    }
}

impl Worker {
    /// The name of a network that a user made. The host's own has an identifier, too, and must not be
    /// had by that without its entitlement.
    fn own_network(&self, name: &str) -> Result<String> {
        let network = self.engine.inspect_network(name).map_err(told)?;
        if matches!(network.driver.as_str(), "host" | "null") {
            return Err(Failure::invalid(format!(
                "network mode \"{name}\" is not supported for builds: it is one of those that are \
                 always there, give its name"
            ))
            .into());
        }
        Ok(network.name)
    }
}

/// The credentials for a registry.
fn auth<'r>(request: &'r BuildRequest, name: &Reference) -> Option<&'r RegistryAuth> {
    let domain = name.domain();
    let bare = |key: &str| {
        let key = key
            .strip_prefix("https://")
            .or_else(|| key.strip_prefix("http://"))
            .unwrap_or(key);
        key.split('/').next().unwrap_or_default().to_owned()
    };
    let mut all = request.auths.iter();
    let found =
        all.find(|(key, _)| bare(key) == domain || domain == HUB[1] && HUB.contains(&key.as_str()));
    found.map(|(_, auth)| auth)
}

fn told(error: engine::Error) -> Error {
    match error.kind() {
        ErrorKind::Cancelled => Error::Cancelled,
        kind => Failure::new(kind, error).into(),
    }
}

impl builder::Worker for Worker {
    fn run(
        &self,
        command: Command<'_>,
        output: OnOutput<'_>,
        cancel: &CancellationToken,
    ) -> Result<Ended> {
        let Command {
            id,
            argv,
            env,
            user,
            working_dir,
            network,
            insecure,
            mounts,
            platform,
            request,
        } = command;
        let config = ContainerConfig {
            // As BuildKit's: a build must not depend on a random name.
            hostname: request
                .build_args
                .get("BUILDKIT_SANDBOX_HOSTNAME")
                .map_or("buildkitsandbox", String::as_str)
                .to_owned(),
            cmd: Some(argv),
            env,
            user,
            working_dir,
            attach_stdout: true,
            attach_stderr: true,
            ..ContainerConfig::default()
        };
        let network_mode = match network {
            StepNetwork::Default => "bridge".to_owned(),
            StepNetwork::None => "none".to_owned(),
            StepNetwork::Host => "host".to_owned(),
            StepNetwork::Own(name) => self.own_network(&name)?,
        };
        let host_config = HostConfig {
            network_mode,
            privileged: insecure,
            extra_hosts: Some(request.extra_hosts.clone()).filter(|h| !h.is_empty()),
            shm_size: request.shm_size,
            ulimits: request.ulimits.clone(),
            cgroup_parent: request.cgroup_parent.clone(),
            memory: request.memory,
            memory_swap: request.memory_swap,
            cpu_shares: request.cpu_shares,
            cpu_quota: request.cpu_quota,
            cpu_period: request.cpu_period,
            cpuset_cpus: request.cpuset_cpus.clone(),
            cpuset_mems: request.cpuset_mems.clone(),
            ..HostConfig::default()
        };
        let mounts = mounts.into_iter().map(|mount| StepMount {
            target: mount.target,
            source: match mount.source {
                MountSource::Path(path) => StepSource::Path(path),
                MountSource::Detached(mount, path) => StepSource::Detached(mount, path),
                MountSource::Tmpfs(options) => StepSource::Tmpfs(options),
            },
            read_only: mount.read_only,
        });
        let step = BuildStep {
            id: id.to_owned(),
            config,
            host_config,
            mounts: mounts.collect(),
            platform: platform.clone(),
        };
        let run = self
            .engine
            .run_step(step, |stream, bytes| output(stream, bytes), cancel);
        let ended = self.runtime.block_on(run).map_err(told)?;
        Ok(Ended {
            code: ended.code,
            out_of_memory: ended.out_of_memory,
        })
    }

    fn base(
        &self,
        name: &Reference,
        platform: &Platform,
        pull: bool,
        request: &BuildRequest,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Arc<Image>> {
        let store = self.engine.images();
        if !pull && let Ok(image) = store.get_for(&name.to_string(), Some(platform)) {
            return Ok(image);
        }
        let auth = auth(request, name);
        let pulled = store.pull(name, Some(platform), auth, progress, cancel.clone());
        let pulled = self.runtime.block_on(pulled)?;
        let attributes = BTreeMap::from([("name".to_owned(), name.familiar_name())]);
        let events = &self.engine.events;
        events.tell("image", "pull", &pulled.reference.familiar(), attributes);
        Ok(pulled.image)
    }

    fn push(
        &self,
        name: &Reference,
        digest: &str,
        request: &BuildRequest,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<Pushed>> {
        let store = self.engine.images();
        let auth = auth(request, name);
        let push = store.push_made(name, digest, auth, progress, cancel.clone());
        let pushed = self.runtime.block_on(push)?;
        let attributes = BTreeMap::from([("name".to_owned(), name.familiar_name())]);
        self.engine
            .events
            .tell("image", "push", &name.familiar(), attributes);
        Ok(pushed)
    }

    fn cache(
        &self,
        name: &Reference,
        platform: &Platform,
        insecure: bool,
        request: &BuildRequest,
        cancel: &CancellationToken,
    ) -> Result<RemoteCache> {
        let access = Access {
            auth: auth(request, name),
            insecure,
        };
        let read = self.engine.images().cache_in(name, platform, access);
        self.runtime.block_on(async {
            tokio::select! {
                read = Box::pin(read) => Ok(read?),
                () = cancel.cancelled() => Err(Error::Cancelled),
                () = tokio::time::sleep(PATIENCE) => {
                    let text = format!("{} does not answer", name.domain());
                    Err(Failure::new(ErrorKind::System, text).into())
                }
            }
        })
    }

    fn cached(
        &self,
        cache: &RemoteCache,
        key: &Digest,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<(CacheRecord, Held)>> {
        let store = self.engine.images();
        let fetch = store.fetch_cached(cache, key, progress, cancel);
        Ok(self.runtime.block_on(fetch)?)
    }

    fn export(
        &self,
        name: &Reference,
        records: &[CacheRecord],
        insecure: bool,
        request: &BuildRequest,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<String> {
        let access = Access {
            auth: auth(request, name),
            insecure,
        };
        let store = self.engine.images();
        let export = store.export_cache(name, records, access, progress, cancel);
        Ok(self.runtime.block_on(export)?)
    }

    fn fetch(
        &self,
        url: &str,
        known: Option<&str>,
        sink: &mut (dyn Write + Send),
        cancel: &CancellationToken,
    ) -> Result<Fetched> {
        let store = self.engine.images();
        let fetch = store.download_changed(url, known, sink, cancel);
        let fetched = self.runtime.block_on(fetch)?;
        Ok(Fetched {
            modified: fetched.modified,
            etag: fetched.etag,
            unchanged: fetched.unchanged,
        })
    }

    fn user(&self, root: BorrowedFd<'_>, user: &str) -> Result<(u32, u32)> {
        engine::user_of(root, user).map_err(told)
    }

    fn tell(&self, action: &str, image: &str, name: Option<&str>) {
        let name = name.unwrap_or(image).to_owned();
        let attributes = BTreeMap::from([("name".to_owned(), name)]);
        self.engine.events.tell("image", action, image, attributes);
    }
}
