//! Defining a container: everything that can be judged before it runs is judged here, and a
//! refused request has changed nothing.

use std::sync::Arc;

use types::{
    container::{ContainerConfig, CreateRequest, CreateResponse, HostConfig},
    id, names,
};

use crate::{
    Engine, blocking, clock,
    container::Container,
    error::{Error, Result},
    files, health, log_options, merge,
    network_mode::NetworkMode,
    ports,
    record::{MountKind, Record},
    records::Table,
    resolver, signals, spec,
    sync::lock,
    volumes::{self, Volume},
};

impl Engine {
    /// Defines a container.
    pub async fn create(
        self: &Arc<Self>,
        name: Option<String>,
        platform: Option<String>,
        request: CreateRequest,
    ) -> Result<CreateResponse> {
        let CreateRequest {
            mut config,
            mut host_config,
            networking_config,
            ..
        } = request;
        if let Some(name) = &name
            && !names::is_valid(name.strip_prefix('/').unwrap_or(name))
        {
            return Err(Error::Invalid(format!(
                "Invalid container name ({name}), only {} are allowed",
                names::ALLOWED
            )));
        }
        let (image, unasked) = match platform.filter(|p| !p.is_empty()) {
            Some(platform) => (self.image_for(&config.image, &platform)?, None),
            None => {
                let image = self.images.get(&config.image)?;
                let unasked = foreign(&image);
                (image, unasked)
            }
        };
        merge::merge(&mut config, &image_defaults(&image));
        let mut warnings = self.check(&config, &mut host_config)?;
        warnings.extend(unasked);
        resolver::check(&host_config)?;
        let networks = self.attachments(&mut host_config, networking_config)?;
        let links = self.links(&host_config)?;
        // It looks at what shall be bound, which may not answer.
        let engine = Arc::clone(self);
        let (config, host_config, mounts) = blocking(move || {
            let mounts = engine.mounts(&config, &host_config)?;
            Ok((config, host_config, mounts))
        })
        .await?;
        let id = id::generate();
        let name = self.reserve(name, &id)?;
        let record = Record {
            id: id.clone(),
            name: name.clone(),
            created: clock::now(),
            image_id: image.id.to_string(),
            config,
            host_config,
            mounts,
            links,
            networks,
            stopped_by_user: false,
            last: None,
        };
        match self.define(record).await {
            Ok(container) => {
                self.tell(&container, "create", &[]);
                Ok(CreateResponse { id, warnings })
            }
            Err(error) => {
                lock(&self.containers).release(&name, &id);
                Err(error)
            }
        }
    }

    /// The image of a name for a platform; where there is none, Docker's words for that.
    fn image_for(&self, name: &str, platform: &str) -> Result<Arc<image::Image>> {
        let wanted = image::Platform::parse(platform)?;
        self.images
            .get_for(name, Some(&wanted))
            .map_err(|error| match error {
                image::Error::NotForPlatform { actual, .. } => Error::NoSuchImage(format!(
                    "image with reference {name} was found but its platform ({actual}) does not \
                     match the specified platform ({platform})"
                )),
                other => other.into(),
            })
    }

    /// What the engine refuses, and what it completes.
    pub(crate) fn check(
        &self,
        config: &ContainerConfig,
        host: &mut HostConfig,
    ) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        self.config.defaults.fill(host);
        if config
            .entrypoint
            .iter()
            .flatten()
            .chain(config.cmd.iter().flatten())
            .next()
            .is_none()
        {
            return Err(Error::Invalid("no command specified".into()));
        }
        if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
            return Err(Error::Invalid(format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                config.working_dir
            )));
        }
        if let Some(bad) = config
            .env
            .iter()
            .find(|e| e.is_empty() || e.starts_with('='))
        {
            return Err(Error::Invalid(format!(
                "invalid environment variable: {bad}"
            )));
        }
        if !config.stop_signal.is_empty() {
            signals::parse(&config.stop_signal)?;
        }
        if !host.runtime.is_empty() && !self.config.runtimes.contains_key(&host.runtime) {
            return Err(Error::Invalid(format!(
                "unknown or invalid runtime name: {}",
                host.runtime
            )));
        }
        if host.auto_remove && !matches!(host.restart_policy.name.as_str(), "" | "no") {
            return Err(Error::Invalid(
                "can't create 'AutoRemove' container with restart policy".into(),
            ));
        }
        match NetworkMode::of(host)? {
            NetworkMode::Container(other) => {
                // Not as an absent name: clients would take it for the image's, and pull.
                let other = self
                    .find(&other)
                    .map_err(|e| Error::Invalid(format!("network mode container:{other}: {e}")))?;
                if !host.port_bindings.is_empty() || host.publish_all_ports {
                    return Err(Error::Invalid(
                        "conflicting options: port publishing and the container type network mode"
                            .into(),
                    ));
                }
                if !config.hostname.is_empty() {
                    return Err(Error::Invalid(
                        "conflicting options: hostname and the network mode".into(),
                    ));
                }
                // By identifier from now on: the name may move on.
                host.network_mode = format!("container:{}", other.id);
            }
            NetworkMode::Bridge => {
                host.network_mode = "bridge".into();
            }
            NetworkMode::Host if !host.port_bindings.is_empty() => {
                warnings.push("Published ports are discarded when using host network mode".into());
            }
            NetworkMode::Host | NetworkMode::None | NetworkMode::Own(_) => {}
        }
        self.settle_modes(config, host)?;
        ports::requests(config, host)?;
        config
            .exposed_ports
            .keys()
            .try_for_each(|p| ports::parse(p).map(|_| ()))?;
        for ulimit in &host.ulimits {
            if ulimit.soft > ulimit.hard && ulimit.hard != -1 {
                return Err(Error::Invalid(format!(
                    "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                    ulimit.soft, ulimit.hard
                )));
            }
        }
        health::check(config.healthcheck.as_ref())?;
        if host.memory > 0 && host.memory_swap == 0 {
            host.memory_swap = host.memory.saturating_mul(2);
        }
        host.memory_swappiness = host.memory_swappiness.filter(|n| *n != -1);
        host.pids_limit = host.pids_limit.filter(|n| *n > 0);
        spec::settle_cgroupns(host)?;
        log_options::settle(host, &self.config.log)?;
        if host.restart_policy.name.is_empty() {
            host.restart_policy.name = "no".into();
        }
        if host.runtime.is_empty() {
            host.runtime.clone_from(&self.config.default_runtime);
        }
        if host.shm_size == 0 {
            host.shm_size = spec::DEFAULT_SHM;
        }
        // A capability or limit that does not exist is told now rather than at the start.
        warnings.extend(spec::check(self, config, host)?);
        Ok(warnings)
    }

    fn reserve(&self, name: Option<String>, id: &str) -> Result<String> {
        let mut index = lock(&self.containers);
        if let Some(name) = name {
            let name = name.strip_prefix('/').unwrap_or(&name).to_owned();
            index.reserve(&name, id)?;
            return Ok(name);
        }
        let mut attempt = 0;
        loop {
            let name = names::generate(attempt);
            if index.reserve(&name, id).is_ok() {
                return Ok(name);
            }
            attempt += 1;
        }
    }

    /// Makes a definition durable: layers first, then the record that names them, so that a crash
    /// in between leaves layers that the next start finds unused, never a container without any.
    async fn define(&self, record: Record) -> Result<Arc<Container>> {
        let container = self.container(record);
        let (images, made) = (self.images.clone(), Arc::clone(&container));
        let layers = blocking(move || {
            images.create_container(&made.id, &made.with_record(|r| r.image_id.clone()))?;
            sys::failpoint!("engine.create.layers");
            volumes::private_dir(&made.data_dir)
        });
        if let Err(error) = layers.await {
            self.forget_files(&container).await;
            return Err(error);
        }
        let defined = self
            .records
            .put(Table::Containers, &container.id, &container.record())
            .await;
        if let Err(error) = defined {
            self.forget_files(&container).await;
            return Err(error);
        }
        sys::failpoint!("engine.create.recorded");
        lock(&self.containers).add(&container);
        // After the record: a volume made for nobody would never be removed. A crash in between is
        // made good by the start, which makes what is missing.
        let mut made = Vec::new();
        if let Err(error) = self.make_volumes(&container, &mut made).await {
            // Before the record goes: a crash in between must leave none that nobody would remove.
            for name in made {
                let gone = self.drop_volume(&container, &name).await;
                crate::end::log_failure(&container, "a volume stays", gone);
            }
            lock(&self.containers).remove(&container);
            let undone = self.records.remove(Table::Containers, &container.id).await;
            crate::end::log_failure(&container, "its record stays", undone);
            self.forget_files(&container).await;
            return Err(error);
        }
        Ok(container)
    }

    /// The container that a record describes, with its places on disk.
    pub(crate) fn container(&self, record: Record) -> Arc<Container> {
        let run_dir = self.config.exec_root.join("containers").join(&record.id);
        let data_dir = self.config.data_root.join("containers").join(&record.id);
        Container::new(record, run_dir, data_dir)
    }

    /// Makes the container's volumes where they are missing. `made` gets the names of the new ones.
    pub(crate) async fn make_volumes(
        &self,
        container: &Container,
        made: &mut Vec<String>,
    ) -> Result<()> {
        for mount in container.with_record(|r| r.mounts.clone()) {
            if mount.kind == MountKind::Volume {
                let wanted = Volume {
                    name: mount.name,
                    anonymous: mount.anonymous,
                    labels: mount.labels,
                    driver: mount.driver,
                    options: mount.driver_options,
                    ..Volume::default()
                };
                let (volume, new) = self.make_volume(wanted).await?;
                made.extend(new.then_some(volume.name));
            }
        }
        Ok(())
    }

    /// Removes a container's layers and directories. What fails is told in the log, and found and
    /// removed by the next daemon.
    pub(crate) async fn forget_files(&self, container: &Container) {
        let (images, id) = (self.images.clone(), container.id.clone());
        let dirs = [container.run_dir.clone(), container.data_dir.clone()];
        let removed = blocking(move || {
            images.remove_container(&id)?;
            for dir in dirs {
                files::remove_dir(&dir)?;
            }
            Ok(())
        });
        if let Err(error) = removed.await {
            tracing::warn!(container = %container.id, %error, "not everything could be removed");
        }
    }
}

/// Docker's warning of an image for another processor that nobody asked for.
fn foreign(image: &image::Image) -> Option<String> {
    let (own, host) = (image.platform(), image::Platform::host());
    if own.architecture.is_empty() || host.accepts(&own) {
        return None;
    }
    Some(format!(
        "The requested image's platform ({own}) does not match the detected host platform ({host}) \
         and no specific platform was requested"
    ))
}

/// The image's defaults in the shape of a container's configuration.
#[must_use]
pub fn image_defaults(image: &image::Image) -> ContainerConfig {
    // Both are Docker's own JSON; what the image has wrong counts as absent.
    serde_json::to_value(&image.config.config)
        .ok()
        .and_then(|value| serde_json::from_value(value).ok())
        .unwrap_or_default()
}
