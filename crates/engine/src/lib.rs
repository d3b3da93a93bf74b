//! Containers' life-cycle on one host: definitions on disk, starts and ends through shims, logs,
//! execs, volumes and events, and finding everything again after a crash.
//!
//! Crash-only: nothing is cleaned up by an orderly shutdown alone. At start the engine reads its
//! records, looks at what really runs, and brings the two together ([`restore`]). Every step that
//! changes something on disk can be repeated.
//!
//! Methods that change something must run to their end even if the client goes away: callers
//! spawn them.

mod attach;
mod binds;
mod build_step;
mod cdi;
mod clock;
mod container;
mod contents;
mod create;
mod defaults;
mod emulation;
mod end;
mod error;
mod events;
mod exec;
mod files;
mod health;
mod image_mounts;
mod image_uses;
mod index;
mod inspect;
mod join;
mod keep;
mod link;
mod linked_names;
mod links;
mod list;
mod log_options;
mod logs;
mod merge;
mod modes;
mod mount_specs;
mod mount_table;
mod mounts;
mod names;
mod nets;
mod network_mode;
mod pause;
mod ports;
mod prune;
mod record;
mod records;
mod relays;
mod remap;
mod remove;
mod rename;
mod resolver;
mod restore;
mod rootfs;
mod signals;
mod spec;
mod spread;
mod start;
mod state;
mod stats;
mod stop;
mod subpath;
mod sync;
mod threads;
mod top;
mod trace;
mod tree_copy;
mod update;
mod usage;
mod users;
mod volume_copies;
mod volume_mounts;
mod volume_objects;
mod volume_plugins;
mod volumes;
mod wait;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

pub use attach::{Attachment, Output};
pub use build_step::{BuildStep, StepEnd, StepMount, StepSource};
pub use contents::{Chunks, Commit, Sink, pipe};
pub use create::image_defaults;
pub use defaults::Defaults;
pub use error::{Error, Result};
pub use events::Events;
pub use link::Input;
pub use list::labels_pass;
pub use log_options::check as check_log;

pub use cdi::{DEFAULT_DIRS as CDI_DIRS, discovered as cdi_devices};
use container::Container;
use exec::Exec;
use index::Index;
use nets::Networks;
pub use nets::{DefaultAddresses, DefaultBridge, check_network_options};
use records::Records;
pub use remap::Remap;
pub use resolver::Resolver;
pub use threads::{Free, Threads};
pub use volume_copies::ImportLimit;
pub use volume_objects::NewVolume;
pub use volume_plugins::{
    CallFailed, PluginAddress, PluginCaller, PluginPlaces, known as volume_drivers,
};
use volumes::Volumes;

/// What an engine is told by its daemon.
#[derive(Debug, Clone)]
pub struct Config {
    /// What lasts: records, images, volumes, logs.
    pub data_root: PathBuf,
    /// What a reboot ends: bundles, sockets, run states.
    pub exec_root: PathBuf,
    /// Parent of containers' cgroups, absolute.
    pub cgroup_parent: String,
    /// OCI runtimes by name.
    pub runtimes: HashMap<String, PathBuf>,
    /// The one for containers that name none.
    pub default_runtime: String,
    /// Limits of processes, for containers that do not say otherwise.
    pub default_ulimits: Vec<types::container::Ulimit>,
    /// Where devices are described.
    pub cdi_spec_dirs: Vec<PathBuf>,
    /// Where the output of containers goes that do not say.
    pub log: types::container::LogConfig,
    /// Whose users containers' users are on the host; the host's own if none.
    pub remap: Option<Remap>,
    /// What containers get that do not say.
    pub defaults: Defaults,
    /// The network of containers that name none, if there is one.
    pub default_bridge: Option<DefaultBridge>,
    /// By driver, options of new networks that do not say otherwise.
    pub network_options: BTreeMap<String, BTreeMap<String, String>>,
    /// What containers' names are resolved with, where they do not say otherwise.
    pub resolver: Resolver,
    /// Where programs are that keep volumes.
    pub plugins: PluginPlaces,
    /// Carries what they are asked.
    pub plugin_caller: Arc<dyn PluginCaller>,
}

/// The container engine of one daemon.
pub struct Engine {
    config: Config,
    images: image::Store,
    network: Arc<network::Fabric>,
    networks: Networks,
    records: Records,
    volumes: Arc<Volumes>,
    /// What happens, for those who listen.
    pub events: Arc<Events>,
    shim: sys::memfd::Program,
    /// What containers in networks of the user's own are called.
    names: Arc<names::Names>,
    /// What is carried by hand to published ports.
    relays: Arc<relays::Relays>,
    /// Compiled seccomp profiles.
    filters: runtime::filters::Filters,
    containers: Mutex<Index>,
    sampler: stats::Sampler,
    execs: Mutex<HashMap<String, Arc<Exec>>>,
    /// Watches the logs that are followed.
    log_hub: Arc<logs::Hub>,
    /// Where files are copied at a client's pace.
    copies: Threads,
    /// All containers that do not run are being removed.
    pruning: AtomicBool,
    image_uses: image_uses::ImageUses,
}

/// Programs that the binary carries.
#[derive(Debug, Clone, Copy)]
pub struct Programs<'a> {
    /// The shim.
    pub shim: &'a [u8],
    /// What `--init` runs.
    pub init: &'a [u8],
    /// The name server.
    pub dns: &'a [u8],
    /// The relay of published ports.
    pub relay: &'a [u8],
}

impl Engine {
    /// Opens the engine's state and finds again what runs. Nothing is served before this returns.
    pub async fn open(
        config: Config,
        images: image::Store,
        network: Arc<network::Fabric>,
        events: Arc<Events>,
        programs: Programs<'_>,
    ) -> Result<Arc<Self>> {
        for dir in [&config.data_root, &config.exec_root] {
            volumes::private_dir(dir)?;
        }
        volumes::private_dir(&config.data_root.join("containers"))?;
        volumes::private_dir(&config.exec_root.join("containers"))?;
        volumes::private_dir(&config.exec_root.join("runtime"))?;
        if config.remap.is_some() {
            // An OCI runtime walks to the root file system as the container's own root.
            for dir in [&config.exec_root, &config.exec_root.join("containers")] {
                volumes::passable(dir)?;
            }
        }
        let init = config.exec_root.join(spec::INIT);
        files::replace(&init, programs.init, 0o755)?;
        let records = Records::open(&config.data_root.join("records.redb"))?;
        let opened = clock::now();
        let (fabric, default) = (Arc::clone(&network), config.default_bridge.clone());
        let others = nets::recorded_subnets(&records).await?;
        let at = opened.clone();
        let default = blocking(move || {
            let record = default.map(|d| nets::default_record(&fabric, &d, &others, &at));
            record.transpose()
        });
        let networks = Networks::open(records.clone(), default.await?, &opened).await?;
        let image_uses = image_uses::ImageUses::open(&config.data_root);
        let engine = Arc::new(Self {
            volumes: Volumes::open(
                config.data_root.join("volumes"),
                records.clone(),
                volume_plugins::Plugins::new(
                    config.plugins.clone(),
                    Arc::clone(&config.plugin_caller),
                ),
                config.remap.as_ref().map(Remap::root),
            )
            .await?,
            shim: sys::memfd::Program::new("wharf-shim", programs.shim)
                .map_err(Error::io("put the shim into memory"))?,
            names: Arc::new(names::Names::new(&config.exec_root, programs.dns)?),
            relays: Arc::new(relays::Relays::new(&config.exec_root, programs.relay)?),
            filters: runtime::filters::Filters::default(),
            networks,
            config,
            images,
            network,
            records,
            events,
            containers: Mutex::default(),
            sampler: stats::Sampler::default(),
            execs: Mutex::default(),
            log_hub: Arc::default(),
            copies: Threads::new("files", 64),
            pruning: AtomicBool::new(false),
            image_uses,
        });
        engine.restore().await?;
        Ok(engine)
    }

    /// The image store.
    #[must_use]
    pub fn images(&self) -> &image::Store {
        &self.images
    }

    /// How the engine was set up.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The daemon's limits of processes.
    fn ulimits(&self) -> &[types::container::Ulimit] {
        &self.config.default_ulimits
    }

    /// How a container's users are remapped, if they are.
    fn remap(&self, host: &types::container::HostConfig) -> Option<&Remap> {
        let remap = self.config.remap.as_ref();
        remap.filter(|r| r.applies(host))
    }

    /// Waits for what is still done in the background for containers that are gone. Tidiness
    /// before an orderly end; the next daemon would find it.
    pub async fn settle(&self) {
        // Those that stand still for a copy, which ends with the daemon.
        let all = sync::lock(&self.containers).all();
        for container in &all {
            self.thaw_after_copy(container).await;
        }
        let network = Arc::clone(&self.network);
        let _ = tokio::task::spawn_blocking(move || network.settle()).await;
    }

    /// Containers by what they do: running, paused and ended ones.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let all = sync::lock(&self.containers).all();
        let paused = all.iter().filter(|c| c.state().paused).count();
        let alive = all.iter().filter(|c| c.state().is_running()).count();
        (alive.saturating_sub(paused), paused, all.len() - alive)
    }

    /// The containers that use an image, and how each does.
    #[must_use]
    pub fn users_of(&self, image: &str) -> Vec<(String, image::Use)> {
        let all = sync::lock(&self.containers).all();
        let using = |c: &Container| {
            let mounted = c.with_record(|r| r.mounts.iter().any(|m| m.image == image));
            match c.with_record(|r| r.image_id == image) || mounted {
                false => None,
                true if c.state().is_running() => Some(image::Use::Running),
                true if mounted => Some(image::Use::Mounted),
                true => Some(image::Use::Stopped),
            }
        };
        all.iter()
            .filter_map(|c| Some((c.id.clone(), using(c)?)))
            .collect()
    }

    fn find(&self, name: &str) -> Result<Arc<Container>> {
        sync::lock(&self.containers).find(name)
    }

    /// Tells that a container joined or left its networks.
    fn tell_networks(&self, container: &Container, action: &str) {
        let all = container.with_record(|r| r.networks.keys().cloned().collect::<Vec<_>>());
        for network in all.iter().filter_map(|id| self.networks.get(id)) {
            self.tell_of_network(&network, action, Some(&container.id));
        }
    }

    /// Tells that `action` happened to a container, with `further` details.
    fn tell(&self, container: &Container, action: &str, further: &[(&str, String)]) {
        let mut attributes = container.with_record(|r| {
            let mut labels = r.config.labels.clone();
            labels.insert("image".into(), r.config.image.clone());
            labels.insert("name".into(), r.name.clone());
            labels
        });
        attributes.extend(further.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        self.events
            .tell("container", action, &container.id, attributes);
    }
}

/// User and group of `user[:group]` by the files of an image's root.
///
/// # Errors
/// When there is no such user or group.
pub fn user_of(root: std::os::fd::BorrowedFd<'_>, user: &str) -> Result<(u32, u32)> {
    let found = runtime::user::resolve(root, user, &[])?.user;
    if !user.is_empty() && user.bytes().all(|b| b.is_ascii_digit()) {
        // As Docker for files: a lone number is the group's, too.
        return Ok((found.uid, found.uid));
    }
    Ok((found.uid, found.gid))
}

/// Runs `work` on a thread where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Error::Io {
            what: "a worker thread".into(),
            source: std::io::Error::other(e),
        }),
    }
}
