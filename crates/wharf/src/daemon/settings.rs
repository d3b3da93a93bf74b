//! The daemon's settings: dockerd's flags, and dockerd's configuration file under them.

mod builder;
mod file;
mod flags;
mod gc;
mod kept;
mod networks;
mod parse;
mod table;
mod values;

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use runtime::protocol::OWN_RUNTIME;
use types::container::{LogConfig, Ulimit};

use super::listen;
use values::Values;

/// Which of its two names the daemon was called by; they differ in defaults only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// `wharf daemon`.
    Wharf,
    /// `dockerd`.
    Dockerd,
}

impl Name {
    /// How it calls itself.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Wharf => "wharf daemon",
            Self::Dockerd => "dockerd",
        }
    }

    /// Where the socket is when nobody says otherwise.
    pub(crate) const fn host(self) -> &'static str {
        match self {
            Self::Wharf => "unix:///run/wharf/wharf.sock",
            Self::Dockerd => "unix:///var/run/docker.sock",
        }
    }

    const fn config(self) -> &'static str {
        match self {
            Self::Wharf => "/etc/wharf/daemon.json",
            Self::Dockerd => "/etc/docker/daemon.json",
        }
    }

    const fn pidfile(self) -> &'static str {
        match self {
            Self::Wharf => "/run/wharf.pid",
            Self::Dockerd => "/var/run/docker.pid",
        }
    }
}

/// Everything that is settled when the daemon starts.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub hosts: Vec<String>,
    pub listening: Listening,
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub pidfile: PathBuf,
    pub bridge: String,
    /// The default network, if there is one.
    pub default_bridge: Option<engine::DefaultBridge>,
    /// By driver, options of new networks.
    pub network_options: BTreeMap<String, BTreeMap<String, String>>,
    pub pools: Vec<network::Pool>,
    pub integrate: bool,
    pub ip_forward: bool,
    pub cgroup_parent: String,
    pub registry_certs_dir: PathBuf,
    pub max_concurrent_uploads: Option<usize>,
    pub max_concurrent_downloads: Option<usize>,
    pub max_download_attempts: Option<u32>,
    pub runtimes: HashMap<String, PathBuf>,
    pub default_runtime: String,
    pub default_ulimits: Vec<Ulimit>,
    pub cdi_spec_dirs: Vec<PathBuf>,
    /// Where programs are that keep volumes.
    pub plugins: engine::PluginPlaces,
    /// Which images go by themselves.
    pub image_gc: crate::adapters::ImagePolicy,
    pub log: LogConfig,
    pub remap: Option<engine::Remap>,
    pub defaults: engine::Defaults,
    pub resolver: engine::Resolver,
    pub raw_logs: bool,
    /// What is kept of the build cache.
    pub build_cache: ::builder::Bound,
    /// What builds may be allowed to ask of this host.
    pub entitlements: ::builder::Entitlements,
    /// What SIGHUP can change.
    pub live: Live,
    /// What was given and has no effect.
    pub warnings: Vec<String>,
}

/// What SIGHUP can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Live {
    pub log_level: String,
    pub labels: Vec<String>,
    pub authorization_plugins: Vec<String>,
    pub insecure_registries: Vec<String>,
    /// Of Docker Hub, as `info` shows them.
    pub registry_mirrors: Vec<String>,
}

/// How sockets are opened.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    pub name: Name,
    pub insecure_tcp: bool,
    pub tls: Option<Tls>,
    /// The group of Unix sockets.
    pub group: Option<String>,
}

/// TLS on `tcp://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Whether clients must have a certificate.
    pub verify: bool,
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Why the daemon does not start.
pub(crate) enum Stop {
    /// Everything was said; this is the exit code.
    Shown(ExitCode),
    /// A sentence to say.
    Wrong(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Wrong(message)
    }
}

/// Settles the settings from `args` and the configuration file.
pub(crate) fn read(name: Name, args: &[OsString]) -> Result<Settings, Stop> {
    let given = flags::read(name.program(), args)?;
    let on = |flag: &str| given.get(flag).is_some_and(|v| v == &["true"]);
    if on("version") {
        println!("Docker version {}, build wharf", env!("CARGO_PKG_VERSION"));
        return Err(Stop::Shown(ExitCode::SUCCESS));
    }
    let validate = on("validate");
    let settings = again(name, &given)?;
    if validate {
        for url in settings.hosts.iter().filter(|h| h.starts_with("tcp://")) {
            listen::allowed(&settings.listening, url).map_err(|e| e.to_string())?;
        }
        for warning in &settings.warnings {
            eprintln!("{warning}");
        }
        eprintln!("configuration OK");
        return Err(Stop::Shown(ExitCode::SUCCESS));
    }
    Ok(settings)
}

/// [`read`] for a daemon that runs already.
pub(crate) fn reread(name: Name, args: &[OsString]) -> Result<Settings, String> {
    match flags::read(name.program(), args) {
        Ok(given) => again(name, &given),
        Err(Stop::Wrong(why)) => Err(why),
        Err(Stop::Shown(_)) => Err("the command line is not understood any more".into()),
    }
}

type Given = std::collections::BTreeMap<&'static str, Vec<String>>;

fn again(name: Name, given: &Given) -> Result<Settings, String> {
    let asked = given.get("config-file").and_then(|v| v.last());
    let path = PathBuf::from(asked.map_or(name.config(), String::as_str));
    let file = file::read(&path, asked.is_some())?;
    settle(name, &Values::join(given.clone(), &file, &path)?)
}

fn settle(name: Name, values: &Values) -> Result<Settings, String> {
    let warnings = values.judge()?;
    let (runtimes, default_runtime) = runtimes(values)?;
    let cgroup_parent = values.text("cgroup-parent").unwrap_or("/wharf".into());
    if cgroup_parent.split('/').any(|p| p == "." || p == "..") {
        return Err(format!(
            "invalid cgroup parent {cgroup_parent}: write it without . and .."
        ));
    }
    let paths = |name: &str| values.list(name).into_iter().map(PathBuf::from).collect();
    let cdi_spec_dirs: Vec<PathBuf> = match values.given("cdi-spec-dirs") {
        true => paths("cdi-spec-dirs"),
        false => engine::CDI_DIRS.iter().map(PathBuf::from).collect(),
    };
    let mut plugins = engine::PluginPlaces::default();
    if values.given("plugin-socket-dirs") {
        plugins.sockets = paths("plugin-socket-dirs");
    }
    if values.given("plugin-spec-dirs") {
        plugins.files = paths("plugin-spec-dirs");
    }
    if let Some(seconds) = values.number("plugin-timeout") {
        let fits = u64::try_from(seconds)
            .ok()
            .filter(|s| (1..=3600).contains(s));
        let seconds = fits.ok_or("plugin-timeout must be 1 to 3600 seconds")?;
        plugins.patience = std::time::Duration::from_secs(seconds);
    }
    let remap = values.text("userns-remap");
    let remap = remap.map(|r| engine::Remap::read(&r)).transpose()?;
    let path = |name: &str, default: &str| {
        parse::absolute(Path::new(&values.text(name).unwrap_or(default.into())))
    };
    let mut data_root = path("data-root", "/var/lib/wharf")?;
    // As Docker: what other users of the host own is never mixed up.
    if let Some((uid, gid)) = remap.as_ref().map(engine::Remap::root) {
        data_root.push(format!("{uid}.{gid}"));
    }
    let ulimits = values.list("default-ulimits");
    let positive = |name: &str| match values.number(name) {
        Some(n) if n <= 0 => Err(format!("invalid {name}: {n}")),
        n => Ok(n),
    };
    Ok(Settings {
        hosts: hosts(name, values)?,
        listening: Listening {
            name,
            // Docker's word for it is to turn TLS off expressly.
            insecure_tcp: values.bool("insecure-tcp") == Some(true)
                || values.bool("tls") == Some(false),
            tls: tls(values),
            group: values
                .text("group")
                .or((name == Name::Dockerd).then(|| "docker".into())),
        },
        data_root,
        exec_root: path("exec-root", "/run/wharf")?,
        pidfile: path("pidfile", name.pidfile())?,
        bridge: networks::bridge(values),
        default_bridge: networks::default_bridge(values)?,
        network_options: networks::options(&values.list("default-network-opts"))?,
        pools: values
            .list("default-address-pools")
            .iter()
            .map(|p| parse::pool(p))
            .collect::<Result<_, _>>()?,
        integrate: values.text("firewall").as_deref() == Some("integrate"),
        ip_forward: values.bool("ip-forward") != Some(false),
        cgroup_parent,
        registry_certs_dir: path("registry-certs-dir", "/etc/docker/certs.d")?,
        max_concurrent_uploads: positive("max-concurrent-uploads")?
            .and_then(|n| usize::try_from(n).ok()),
        max_concurrent_downloads: positive("max-concurrent-downloads")?
            .and_then(|n| usize::try_from(n).ok()),
        max_download_attempts: positive("max-download-attempts")?
            .and_then(|n| u32::try_from(n).ok()),
        runtimes,
        default_runtime,
        default_ulimits: ulimits
            .iter()
            .map(|u| parse::ulimit(u))
            .collect::<Result<_, _>>()?,
        cdi_spec_dirs,
        plugins,
        image_gc: gc::images(values)?,
        log: log(values)?,
        remap,
        defaults: defaults(values)?,
        resolver: resolver(values)?,
        raw_logs: values.bool("raw-logs") == Some(true),
        build_cache: builder::bound(values)?,
        entitlements: builder::entitlements(values)?,
        live: live(values)?,
        warnings,
    })
}

fn hosts(name: Name, values: &Values) -> Result<Vec<String>, String> {
    let mut hosts = Vec::new();
    for host in values.list("hosts") {
        // Written twice it is meant once.
        let host = parse::host(name, &host)?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    if hosts.is_empty() {
        hosts.push(name.host().into());
    }
    Ok(hosts)
}

/// As dockerd: to say anything about verifying is to turn TLS on; `--tls` alone takes any client.
fn tls(values: &Values) -> Option<Tls> {
    let environment = || std::env::var_os("DOCKER_TLS_VERIFY").filter(|v| !v.is_empty());
    let verify = values
        .bool("tlsverify")
        .or_else(|| environment().map(|_| true));
    if verify.is_none() && values.bool("tls") != Some(true) {
        return None;
    }
    let home = std::env::var_os("HOME").map_or("/root".into(), PathBuf::from);
    let dir = std::env::var_os("DOCKER_CERT_PATH").map_or(home.join(".docker"), PathBuf::from);
    let of = |name: &str, file: &str| values.text(name).map_or(dir.join(file), PathBuf::from);
    Some(Tls {
        verify: verify == Some(true),
        ca: of("tlscacert", "ca.pem"),
        cert: of("tlscert", "cert.pem"),
        key: of("tlskey", "key.pem"),
    })
}

fn runtimes(values: &Values) -> Result<(HashMap<String, PathBuf>, String), String> {
    let mut runtimes = HashMap::new();
    for pair in values.list("runtimes") {
        let (name, path) = pair
            .split_once('=')
            .ok_or_else(|| format!("invalid runtime \"{pair}\": the form is NAME=PATH"))?;
        if runtimes.insert(name.to_owned(), path.into()).is_some() {
            return Err(format!("runtime '{name}' already exists"));
        }
    }
    runtimes
        .entry("runc".into())
        .or_insert_with(|| "runc".into());
    if runtimes
        .insert(OWN_RUNTIME.into(), OWN_RUNTIME.into())
        .is_some()
    {
        return Err(format!(
            "the runtime name \"{OWN_RUNTIME}\" is that of the daemon's own: choose another"
        ));
    }
    let default = values.text("default-runtime").unwrap_or(OWN_RUNTIME.into());
    if !runtimes.contains_key(&default) {
        return Err(format!(
            "the default runtime \"{default}\" is not configured: add it with \
             --add-runtime {default}=/path"
        ));
    }
    Ok((runtimes, default))
}

fn resolver(values: &Values) -> Result<engine::Resolver, String> {
    let addresses = |name: &str| {
        let list = values.list(name).into_iter();
        list.map(|text| {
            text.parse()
                .map_err(|_| format!("invalid {name}: {text:?} is no IP address"))
        })
        .collect::<Result<Vec<std::net::IpAddr>, String>>()
    };
    // The file knows the older key, too.
    let mut host_gateways = addresses("host-gateway-ips")?;
    host_gateways.extend(addresses("host-gateway-ip")?);
    Ok(engine::Resolver {
        servers: addresses("dns")?,
        options: values.list("dns-opts"),
        search: values.list("dns-search"),
        host_gateways,
    })
}

/// Where the output of containers goes that do not say.
fn log(values: &Values) -> Result<LogConfig, String> {
    let options = values.list("log-opts");
    let options = options.iter().map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    });
    let log = LogConfig {
        kind: values.text("log-driver").unwrap_or("json-file".into()),
        config: options.collect(),
    };
    engine::check_log(&log).map_err(|e| format!("failed to set log opts: {e}"))?;
    Ok(log)
}

fn live(values: &Values) -> Result<Live, String> {
    let debug = values.bool("debug") == Some(true);
    let log_level = if debug {
        "debug".into()
    } else {
        values.text("log-level").unwrap_or("info".into())
    };
    if !["debug", "info", "warn", "error", "fatal"].contains(&log_level.as_str()) {
        return Err(format!(
            "invalid logging level \"{log_level}\": use debug, info, warn, error or fatal"
        ));
    }
    let mirrors = values.list("registry-mirrors");
    let mirrors = mirrors.iter().map(|m| image::check_mirror(m));
    let insecure_registries = values.list("insecure-registries");
    for registry in &insecure_registries {
        image::check_insecure(registry).map_err(|e| e.to_string())?;
    }
    Ok(Live {
        insecure_registries,
        registry_mirrors: mirrors
            .collect::<Result<_, _>>()
            .map_err(|e| e.to_string())?,
        log_level,
        labels: parse::labels(&values.list("labels"))?,
        authorization_plugins: parse::plugins(&values.list("authorization-plugins"))?,
    })
}

fn defaults(values: &Values) -> Result<engine::Defaults, String> {
    let one_of = |name: &str, good: &[&str]| match values.text(name) {
        Some(mode) if !good.contains(&mode.as_str()) => Err(format!(
            "{name} {mode:?} is not known: use {}",
            good.join(" or ")
        )),
        mode => Ok(mode),
    };
    Ok(engine::Defaults {
        ipc_mode: one_of("default-ipc-mode", &["private", "shareable"])?,
        cgroupns_mode: one_of("default-cgroupns-mode", &["host", "private"])?,
        shm_size: values
            .text("default-shm-size")
            .map(|s| parse::size(&s))
            .transpose()?,
        init: values.bool("init") == Some(true),
        no_new_privileges: values.bool("no-new-privileges") == Some(true),
        seccomp: match values.text("seccomp-profile").as_deref() {
            None | Some("builtin") => None,
            Some("unconfined") => Some("unconfined".into()),
            Some(path) => Some(parse::seccomp(Path::new(path))?),
        },
    })
}

#[cfg(test)]
mod tests;
