//! What the daemon knows of its host: looked at once at the start.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use anyhow::{Context, Result};
use types::system::{
    Commit, Component, DeviceInfo, IndexInfo, Info, PlatformName, Plugins, RegistryConfig,
    RuntimePath, SwarmInfo, Version,
};

use super::settings::{Live, Settings};

/// The host and how the daemon is set up on it.
#[derive(Debug)]
pub(crate) struct Host {
    settings: Settings,
    live: RwLock<Live>,
    id: String,
    name: String,
    kernel: String,
    system: String,
    system_version: String,
    cgroup_v2: bool,
    controllers: Vec<String>,
    memory: i64,
    seccomp: bool,
}

impl Host {
    /// Looks at the host.
    pub(crate) fn look(settings: &Settings) -> Result<Self> {
        let uname = rustix::system::uname();
        let text = |c: &std::ffi::CStr| c.to_string_lossy().into_owned();
        let release = release();
        let cgroup_v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let list = if cgroup_v2 {
            fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default()
        } else {
            controllers_v1()
        };
        Ok(Self {
            id: identity(&settings.data_root)?,
            name: text(uname.nodename()),
            kernel: text(uname.release()),
            system: release
                .get("PRETTY_NAME")
                .cloned()
                .unwrap_or_else(|| "Linux".into()),
            system_version: release.get("VERSION_ID").cloned().unwrap_or_default(),
            cgroup_v2,
            controllers: list.split_whitespace().map(str::to_owned).collect(),
            memory: memory(),
            seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
            live: RwLock::new(settings.live.clone()),
            settings: settings.clone(),
        })
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    /// The settings that may change, as they are now.
    pub(crate) fn live(&self) -> Live {
        self.live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes them.
    pub(crate) fn set_live(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }

    /// The identity that lasts with the data root.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The host's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What containers will miss on this host, in Docker's words.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut missing = |there: bool, what: &str| {
            if !there {
                warnings.push(format!("WARNING: No {what} support"));
            }
        };
        missing(self.has("memory"), "memory limit");
        missing(self.has("cpu"), "cpu cfs quota");
        missing(self.has("pids"), "pids limit");
        missing(self.seccomp, "seccomp");
        let forwarding = fs::read_to_string("/proc/sys/net/ipv4/ip_forward");
        if forwarding.is_ok_and(|f| f.trim() == "0") {
            warnings.push("WARNING: IPv4 forwarding is disabled".into());
        }
        if let runtime::apparmor::State::Missing(why) = runtime::apparmor::prepare() {
            warnings.push(format!("WARNING: {why}"));
        }
        if !capable_of_resources() {
            warnings.push(
                "WARNING: the daemon lacks CAP_SYS_RESOURCE: limits of processes cannot be raised"
                    .into(),
            );
        }
        let tls = self.settings.listening.tls.as_ref();
        for url in self
            .settings
            .hosts
            .iter()
            .filter(|h| h.starts_with("tcp://"))
        {
            match tls {
                Some(tls) if tls.verify => {}
                Some(_) => warnings.push(format!(
                    "WARNING: API is accessible on {url} without TLS client verification: \
                     access to it is root access to this host"
                )),
                None => warnings.push(format!(
                    "WARNING: API is accessible on {url} without encryption: \
                     access to it is root access to this host"
                )),
            }
        }
        warnings
    }

    /// The answer to `GET /version`.
    pub(crate) fn version(&self) -> Version {
        let version = env!("CARGO_PKG_VERSION");
        let (newest, oldest) = (
            types::version::ApiVersion::MAX,
            types::version::ApiVersion::MIN,
        );
        let compiler = concat!("rustc ", env!("CARGO_PKG_RUST_VERSION"));
        let details = BTreeMap::from([
            ("ApiVersion".to_owned(), newest.to_string()),
            ("MinAPIVersion".to_owned(), oldest.to_string()),
            ("Os".to_owned(), "linux".to_owned()),
            ("Arch".to_owned(), arch().to_owned()),
            ("KernelVersion".to_owned(), self.kernel.clone()),
            ("GoVersion".to_owned(), compiler.to_owned()),
        ]);
        Version {
            platform: PlatformName {
                name: "wharf".into(),
            },
            components: vec![Component {
                name: "Engine".into(),
                version: version.into(),
                details,
            }],
            version: version.into(),
            api_version: newest.to_string(),
            min_api_version: oldest.to_string(),
            git_commit: String::new(),
            go_version: compiler.into(),
            os: "linux".into(),
            arch: arch().into(),
            kernel_version: self.kernel.clone(),
            experimental: false,
            build_time: String::new(),
        }
    }

    /// The answer to `GET /info`, as far as it depends on the host alone.
    pub(crate) fn info(&self) -> Info {
        let s = &self.settings;
        let live = self.live();
        let runtimes = s.runtimes.iter().map(|(name, path)| {
            (
                name.clone(),
                RuntimePath {
                    path: path.to_string_lossy().into_owned(),
                },
            )
        });
        Info {
            id: self.id.clone(),
            driver: "overlay2".into(),
            driver_status: vec![["Backing Filesystem".into(), filesystem(&s.data_root)]],
            plugins: Plugins {
                volume: engine::volume_drivers(&s.plugins),
                network: vec!["bridge".into(), "host".into(), "null".into()],
                authorization: Some(live.authorization_plugins.clone()).filter(|p| !p.is_empty()),
                log: vec!["json-file".into(), "local".into(), "none".into()],
            },
            memory_limit: self.has("memory"),
            swap_limit: self.has("memory"),
            cpu_cfs_period: self.has("cpu"),
            cpu_cfs_quota: self.has("cpu"),
            cpu_shares: self.has("cpu"),
            cpu_set: self.has("cpuset"),
            pids_limit: self.has("pids"),
            ipv4_forwarding: fs::read_to_string("/proc/sys/net/ipv4/ip_forward")
                .is_ok_and(|f| f.trim() == "1"),
            debug: live.log_level == "debug",
            n_fd: fs::read_dir("/proc/self/fd").map_or(0, |d| d.count().cast_signed() as i64),
            oom_kill_disable: !self.cgroup_v2,
            system_time: jiff::Timestamp::now().to_string(),
            logging_driver: s.log.kind.clone(),
            cgroup_driver: "cgroupfs".into(),
            cgroup_version: if self.cgroup_v2 { "2" } else { "1" }.into(),
            kernel_version: self.kernel.clone(),
            operating_system: self.system.clone(),
            os_version: self.system_version.clone(),
            os_type: "linux".into(),
            architecture: std::env::consts::ARCH.into(),
            index_server_address: "https://index.docker.io/v1/".into(),
            registry_config: registries(&live.insecure_registries, &live.registry_mirrors),
            n_cpu: std::thread::available_parallelism().map_or(1, |n| n.get().cast_signed() as i64),
            mem_total: self.memory,
            docker_root_dir: s.data_root.to_string_lossy().into_owned(),
            name: self.name.clone(),
            labels: live.labels,
            server_version: env!("CARGO_PKG_VERSION").into(),
            runtimes: runtimes.collect(),
            default_runtime: s.default_runtime.clone(),
            swarm: SwarmInfo {
                local_node_state: "inactive".into(),
                ..SwarmInfo::default()
            },
            live_restore_enabled: true,
            init_binary: "wharf-init".into(),
            init_commit: Commit {
                id: env!("CARGO_PKG_VERSION").into(),
            },
            security_options: self.security(),
            cdi_spec_dirs: s
                .cdi_spec_dirs
                .iter()
                .map(|d| d.to_string_lossy().into_owned())
                .collect(),
            discovered_devices: discovered(&s.cdi_spec_dirs),
            warnings: Some(self.warnings()),
            ..Info::default()
        }
    }

    fn security(&self) -> Vec<String> {
        let mut options = Vec::new();
        if runtime::apparmor::default_profile().is_some() {
            options.push("name=apparmor".to_owned());
        }
        if self.seccomp {
            let profile = match self.settings.defaults.seccomp.as_deref() {
                None => "builtin",
                Some("unconfined") => "unconfined",
                Some(_) => "custom",
            };
            options.push(format!("name=seccomp,profile={profile}"));
        }
        if self.cgroup_v2 {
            options.push("name=cgroupns".to_owned());
        }
        if self.settings.defaults.no_new_privileges {
            options.push("name=no-new-privileges".to_owned());
        }
        if self.settings.remap.is_some() {
            options.push("name=userns".to_owned());
        }
        options
    }
}

/// An identity that lasts with the data root, as Docker's engine id.
pub(crate) fn identity(data_root: &Path) -> Result<String> {
    let path = data_root.join("engine-id");
    if let Ok(id) = fs::read_to_string(&path)
        && !id.trim().is_empty()
    {
        return Ok(id.trim().to_owned());
    }
    let hex = types::id::generate();
    let id = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..32],
    ]
    .join("-");
    let new: PathBuf = data_root.join("engine-id.new");
    fs::write(&new, &id)
        .and_then(|()| fs::rename(&new, &path))
        .with_context(|| format!("write {}", path.display()))?;
    Ok(id)
}

/// The devices that vendors describe.
fn discovered(dirs: &[PathBuf]) -> Vec<DeviceInfo> {
    let device = |id| DeviceInfo {
        source: "cdi".into(),
        id,
    };
    engine::cdi_devices(dirs).into_iter().map(device).collect()
}

/// Docker's name for the processor.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `/etc/os-release`.
fn release() -> BTreeMap<String, String> {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(k, v)| (k.to_owned(), v.trim_matches('"').to_owned()))
        .collect()
}

/// The controllers of cgroup v1 that are mounted, from `/proc/self/cgroup`.
fn controllers_v1() -> String {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let lists = text.lines().filter_map(|line| line.split(':').nth(1));
    lists
        .flat_map(|l| l.split(','))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether the daemon may raise limits: bit 24 of the effective set.
fn capable_of_resources() -> bool {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = text.lines().find_map(|l| l.strip_prefix("CapEff:"));
    set.and_then(|s| u64::from_str_radix(s.trim(), 16).ok())
        .is_none_or(|bits| bits & (1 << 24) != 0)
}

fn memory() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:"))
        .unwrap_or_default();
    let kib = line
        .split_whitespace()
        .next()
        .and_then(|n| n.parse::<i64>().ok());
    kib.unwrap_or(0) * 1024
}

fn filesystem(path: &Path) -> String {
    let magic = rustix::fs::statfs(path).map_or(0, |s| s.f_type);
    match magic {
        0xef53 => "extfs".into(),
        0x5846_5342 => "xfs".into(),
        0x9123_683e => "btrfs".into(),
        0x0102_1994 => "tmpfs".into(),
        0x2fc1_2fc1 => "zfs".into(),
        other => format!("0x{other:x}"),
    }
}

fn registries(insecure: &[String], mirrors: &[String]) -> RegistryConfig {
    let index = |name: &str, secure, official| IndexInfo {
        name: name.into(),
        mirrors: Vec::new(),
        secure,
        official,
    };
    let mut hub = index("docker.io", true, true);
    hub.mirrors = mirrors.to_vec();
    let mut configs = BTreeMap::from([("docker.io".to_owned(), hub)]);
    let (cidrs, names): (Vec<String>, Vec<String>) =
        insecure.iter().cloned().partition(|r| r.contains('/'));
    configs.extend(
        names
            .into_iter()
            .map(|n| (n.clone(), index(&n, false, false))),
    );
    let loopback = ["::1/128".to_owned(), "127.0.0.0/8".to_owned()];
    RegistryConfig {
        insecure_registry_cidrs: loopback.into_iter().chain(cidrs).collect(),
        index_configs: configs,
        mirrors: Some(mirrors.to_vec()).filter(|mirrors| !mirrors.is_empty()),
    }
}
