//! The daemon's options: dockerd's flags, and dockerd's configuration file under them.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;

use runtime::protocol::OWN_RUNTIME;
use types::container::{LogConfig, Ulimit};

use super::config_file::{self, File};

/// Where the socket is when nobody says otherwise.
pub(crate) const DEFAULT_HOST: &str = "unix:///run/wharf/wharf.sock";
const DEFAULT_CONFIG: &str = "/etc/wharf/daemon.json";

/// Run the daemon: the Docker Engine API, and the containers behind it.
#[derive(Debug, Parser)]
#[command(
    name = "wharf daemon",
    bin_name = "wharf daemon",
    disable_version_flag = true,
    args_override_self = true
)]
struct Flags {
    /// Socket to listen on: unix:///path or tcp://address:port (may be given several times)
    #[arg(short = 'H', long = "host", value_name = "URL")]
    host: Vec<String>,
    /// Allow tcp:// without TLS: whoever reaches the port is root on this host
    #[arg(long)]
    insecure_tcp: bool,
    /// Directory of what lasts: images, containers, volumes [default: /var/lib/wharf]
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Directory of what a reboot ends: sockets and run states [default: /run/wharf]
    #[arg(long, value_name = "DIR")]
    exec_root: Option<PathBuf>,
    /// File for the daemon's process number [default: /run/wharf.pid]
    #[arg(short = 'p', long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// Name of the bridge [default: wharf0]
    #[arg(short = 'b', long, value_name = "NAME")]
    bridge: Option<String>,
    /// Address and prefix of the bridge [default: the first of 172.17.0.1/16 … that is free]
    #[arg(long, value_name = "CIDR")]
    bip: Option<String>,
    /// Parent of the containers' cgroups [default: /wharf]
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
    /// Registry that may be spoken to without verified TLS: host[:port] or CIDR (may be repeated)
    #[arg(long, value_name = "REGISTRY")]
    insecure_registry: Vec<String>,
    /// Directory of certificates for single registries, DIR/HOST[:PORT]/*.crt [default: /etc/docker/certs.d]
    #[arg(long, value_name = "DIR")]
    registry_certs_dir: Option<PathBuf>,
    /// debug, info, warn, error or fatal [default: info]
    #[arg(short = 'l', long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// JSON file of settings, with dockerd's keys
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config_file: PathBuf,
    /// OCI runtime for containers that name none [default: wharf]
    #[arg(long, value_name = "NAME")]
    default_runtime: Option<String>,
    /// Further OCI runtime (may be repeated)
    #[arg(long, value_name = "NAME=PATH")]
    add_runtime: Vec<String>,
    /// Limit of processes for containers that do not set it: NAME=SOFT[:HARD] (may be repeated)
    #[arg(long, value_name = "ULIMIT")]
    default_ulimit: Vec<String>,
    /// Directory of device specifications (may be repeated) [default: /etc/cdi and /run/cdi]
    #[arg(long, value_name = "DIR")]
    cdi_spec_dir: Vec<PathBuf>,
    /// Where the output of containers goes: json-file, local or none [default: json-file]
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,
    /// Option of the log driver: NAME=VALUE (may be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    log_opt: Vec<String>,
    /// Give containers users of their own: default, or USER[:GROUP] with ranges in /etc/subuid
    #[arg(long, value_name = "USER[:GROUP]")]
    userns_remap: Option<String>,
    /// Name server of containers that name none (may be repeated)
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<std::net::IpAddr>,
    /// Option of containers' resolvers (may be repeated)
    #[arg(long, value_name = "OPTION")]
    dns_opt: Vec<String>,
    /// Domain in which containers look for names (may be repeated)
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// What host-gateway means in --add-host (may be repeated) [default: the bridge's address]
    #[arg(long, value_name = "ADDRESS")]
    host_gateway_ip: Vec<std::net::IpAddr>,
}

/// Everything that is settled when the daemon starts.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub hosts: Vec<String>,
    pub insecure_tcp: bool,
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub pidfile: PathBuf,
    pub bridge: String,
    pub bip: Option<String>,
    pub cgroup_parent: String,
    pub insecure_registries: Vec<String>,
    pub registry_certs_dir: PathBuf,
    pub log_level: String,
    pub runtimes: HashMap<String, PathBuf>,
    pub default_runtime: String,
    pub default_ulimits: Vec<Ulimit>,
    pub cdi_spec_dirs: Vec<PathBuf>,
    pub log: LogConfig,
    pub remap: Option<engine::Remap>,
    pub resolver: engine::Resolver,
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

/// Settles the options from `args` and the configuration file.
pub(crate) fn read(args: &[OsString]) -> Result<Settings, Stop> {
    let flags = Flags::try_parse_from(args).map_err(|error| {
        // Help goes to stdout with code 0, errors to stderr.
        let _ = error.print();
        Stop::Shown(if error.use_stderr() {
            ExitCode::from(125)
        } else {
            ExitCode::SUCCESS
        })
    })?;
    let asked = flags.config_file != *DEFAULT_CONFIG;
    let file = config_file::read(&flags.config_file, asked)?;
    Ok(settle(flags, file)?)
}

fn settle(flags: Flags, file: File) -> Result<Settings, String> {
    let mut twice = Vec::new();
    let mut both = |flag: bool, file: bool, name: &str| {
        if flag && file {
            twice.push(name.to_owned());
        }
    };
    both(!flags.host.is_empty(), file.hosts.is_some(), "hosts");
    both(
        flags.data_root.is_some(),
        file.data_root.is_some(),
        "data-root",
    );
    both(
        flags.exec_root.is_some(),
        file.exec_root.is_some(),
        "exec-root",
    );
    both(flags.pidfile.is_some(), file.pidfile.is_some(), "pidfile");
    both(flags.bridge.is_some(), file.bridge.is_some(), "bridge");
    both(flags.bip.is_some(), file.bip.is_some(), "bip");
    both(
        flags.cgroup_parent.is_some(),
        file.cgroup_parent.is_some(),
        "cgroup-parent",
    );
    both(
        flags.registry_certs_dir.is_some(),
        file.registry_certs_dir.is_some(),
        "registry-certs-dir",
    );
    both(
        flags.log_level.is_some(),
        file.log_level.is_some(),
        "log-level",
    );
    both(
        flags.default_runtime.is_some(),
        file.default_runtime.is_some(),
        "default-runtime",
    );
    both(
        flags.log_driver.is_some(),
        file.log_driver.is_some(),
        "log-driver",
    );
    both(
        !flags.log_opt.is_empty(),
        file.log_opts.is_some(),
        "log-opts",
    );
    both(
        flags.userns_remap.is_some(),
        file.userns_remap.is_some(),
        "userns-remap",
    );
    both(
        !flags.cdi_spec_dir.is_empty(),
        file.cdi_spec_dirs.is_some(),
        "cdi-spec-dirs",
    );
    both(
        !flags.default_ulimit.is_empty(),
        file.default_ulimits.is_some(),
        "default-ulimits",
    );
    both(!flags.dns.is_empty(), file.dns.is_some(), "dns");
    both(
        !flags.dns_opt.is_empty(),
        file.dns_opts.is_some(),
        "dns-opts",
    );
    both(
        !flags.dns_search.is_empty(),
        file.dns_search.is_some(),
        "dns-search",
    );
    both(
        !flags.host_gateway_ip.is_empty(),
        file.host_gateway_ip.is_some() || file.host_gateway_ips.is_some(),
        "host-gateway-ip",
    );
    if !twice.is_empty() {
        return Err(format!(
            "unable to configure the daemon with file {}: the following directives are specified \
             both as a flag and in the configuration file: {}",
            flags.config_file.display(),
            twice.join(", ")
        ));
    }
    let mut hosts = flags.host;
    hosts.extend(file.hosts.unwrap_or_default());
    if hosts.is_empty() {
        hosts.push(DEFAULT_HOST.into());
    }
    let mut insecure_registries = flags.insecure_registry;
    insecure_registries.extend(file.insecure_registries.unwrap_or_default());
    let registry_certs_dir = flags
        .registry_certs_dir
        .or(file.registry_certs_dir)
        .unwrap_or_else(|| "/etc/docker/certs.d".into());
    let mut runtimes: HashMap<String, PathBuf> = file
        .runtimes
        .unwrap_or_default()
        .into_iter()
        .map(|(n, r)| (n, r.path))
        .collect();
    for pair in flags.add_runtime {
        let (name, path) = pair
            .split_once('=')
            .ok_or_else(|| format!("invalid runtime \"{pair}\": the form is NAME=PATH"))?;
        runtimes.insert(name.into(), path.into());
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
    let default_runtime = flags
        .default_runtime
        .or(file.default_runtime)
        .unwrap_or(OWN_RUNTIME.into());
    if !runtimes.contains_key(&default_runtime) {
        return Err(format!(
            "the default runtime \"{default_runtime}\" is not configured: add it with \
             --add-runtime {default_runtime}=/path"
        ));
    }
    let log_level = flags.log_level.or(file.log_level);
    let debug = file.debug.unwrap_or(false);
    let log_level = log_level.unwrap_or_else(|| if debug { "debug" } else { "info" }.into());
    if !["debug", "info", "warn", "error", "fatal"].contains(&log_level.as_str()) {
        return Err(format!(
            "invalid logging level \"{log_level}\": use debug, info, warn, error or fatal"
        ));
    }
    let cgroup_parent = flags
        .cgroup_parent
        .or(file.cgroup_parent)
        .unwrap_or("/wharf".into());
    if cgroup_parent.split('/').any(|p| p == "." || p == "..") {
        return Err(format!(
            "invalid cgroup parent {cgroup_parent}: write it without . and .."
        ));
    }
    let exec_root = flags
        .exec_root
        .or(file.exec_root)
        .unwrap_or("/run/wharf".into());
    let mut default_ulimits: Vec<Ulimit> = file
        .default_ulimits
        .unwrap_or_default()
        .into_values()
        .collect();
    for text in &flags.default_ulimit {
        default_ulimits.push(ulimit(text)?);
    }
    let cdi_spec_dirs = match file.cdi_spec_dirs {
        Some(dirs) => dirs,
        None if flags.cdi_spec_dir.is_empty() => engine::CDI_DIRS
            .iter()
            .copied()
            .map(PathBuf::from)
            .collect(),
        None => flags.cdi_spec_dir,
    };
    let log = log(
        flags.log_driver.or(file.log_driver),
        &flags.log_opt,
        file.log_opts,
    )?;
    let remap = flags.userns_remap.or(file.userns_remap);
    let remap = remap.filter(|r| !r.is_empty());
    let remap = remap.map(|r| engine::Remap::read(&r)).transpose()?;
    let mut data_root = absolute(
        flags
            .data_root
            .or(file.data_root)
            .unwrap_or("/var/lib/wharf".into()),
    )?;
    // As Docker: what other users of the host own is never mixed up.
    if let Some((uid, gid)) = remap.as_ref().map(engine::Remap::root) {
        data_root.push(format!("{uid}.{gid}"));
    }
    let mut host_gateways = flags.host_gateway_ip;
    host_gateways.extend(file.host_gateway_ip);
    host_gateways.extend(file.host_gateway_ips.unwrap_or_default());
    let resolver = engine::Resolver {
        servers: file.dns.unwrap_or(flags.dns),
        options: file.dns_opts.unwrap_or(flags.dns_opt),
        search: file.dns_search.unwrap_or(flags.dns_search),
        host_gateways,
    };
    Ok(Settings {
        hosts,
        insecure_tcp: flags.insecure_tcp,
        data_root,
        exec_root: absolute(exec_root)?,
        pidfile: absolute(
            flags
                .pidfile
                .or(file.pidfile)
                .unwrap_or("/run/wharf.pid".into()),
        )?,
        bridge: flags.bridge.or(file.bridge).unwrap_or("wharf0".into()),
        bip: flags.bip.or(file.bip),
        cgroup_parent,
        insecure_registries,
        registry_certs_dir: absolute(registry_certs_dir)?,
        log_level,
        runtimes,
        default_runtime,
        default_ulimits,
        cdi_spec_dirs,
        log,
        remap,
        resolver,
    })
}

/// Where the output of containers goes that do not say.
fn log(
    driver: Option<String>,
    flags: &[String],
    file: Option<BTreeMap<String, String>>,
) -> Result<LogConfig, String> {
    let mut config = file.unwrap_or_default();
    for text in flags {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        config.insert(name.to_owned(), value.to_owned());
    }
    let log = LogConfig {
        kind: driver
            .filter(|d| !d.is_empty())
            .unwrap_or("json-file".into()),
        config,
    };
    engine::check_log(&log).map_err(|e| format!("failed to set log opts: {e}"))?;
    Ok(log)
}

/// `name=soft[:hard]`.
fn ulimit(text: &str) -> Result<Ulimit, String> {
    let invalid = || format!("invalid ulimit argument: {text}");
    let (name, values) = text.split_once('=').ok_or_else(invalid)?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let number = |t: &str| match t {
        "unlimited" => Ok(-1),
        t => t.parse::<i64>().map_err(|_| invalid()),
    };
    let limit = Ulimit {
        name: name.to_owned(),
        soft: number(soft)?,
        hard: number(hard)?,
    };
    if name.is_empty() || limit.hard != -1 && (limit.soft > limit.hard || limit.soft == -1) {
        return Err(invalid());
    }
    Ok(limit)
}

fn absolute(path: PathBuf) -> Result<PathBuf, String> {
    std::path::absolute(&path)
        .map_err(|e| format!("the path {} cannot be used: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Flags {
        Flags::try_parse_from([&["wharf daemon"], args].concat()).unwrap()
    }

    #[test]
    fn a_setting_in_both_places_is_refused_by_name() {
        let file = File {
            data_root: Some("/a".into()),
            ..File::default()
        };
        let error = settle(flags(&["--data-root", "/b"]), file).unwrap_err();
        assert!(error.contains("data-root"), "{error}");
    }

    #[test]
    fn hosts_repeat_and_default() {
        let settings = settle(
            flags(&["-H", "unix:///a", "-H", "tcp://:1"]),
            File::default(),
        )
        .unwrap();
        assert_eq!(settings.hosts, ["unix:///a", "tcp://:1"]);
        let settings = settle(flags(&[]), File::default()).unwrap();
        assert_eq!(settings.hosts, [DEFAULT_HOST]);
    }
}
