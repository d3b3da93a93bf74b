//! From the flags of `run` and `create` to the request.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use types::container::{
    ContainerConfig, CreateRequest, Empty, HostConfig, LogConfig, MountSpec, PortMap, RestartPolicy,
};

use super::{
    host_config, networks, options,
    spec::{env, mount, names, ports, ulimit, volume},
};
use crate::{
    error::{Error, Result, errno_text},
    flags::{Matches, checks},
    format::size,
};

/// Builds the request that `m` describes.
pub(crate) fn request(m: &Matches) -> Result<CreateRequest> {
    let attach: Vec<String> = m.all("attach").iter().map(|s| s.to_lowercase()).collect();
    let wants = |stream: &str| attach.iter().any(|s| s == stream);
    let (image, command) = m
        .args
        .split_first()
        .ok_or_else(|| Error::msg("no image was named"))?;
    let published = publish(&m.all("publish"))?;
    let mut exposed: BTreeMap<String, Empty> = published
        .keys()
        .map(|port| (port.clone(), Empty {}))
        .collect();
    for text in m.all("expose") {
        for port in ports::expose(&text).map_err(Error::msg)? {
            exposed.insert(port, Empty {});
        }
    }
    let (binds, volumes) = mounts(&m.all("volume"))?;
    let stdin = m.on("interactive") || wants("stdin");
    let config = ContainerConfig {
        hostname: m.text("hostname"),
        domainname: m.text("domainname"),
        user: m.text("user"),
        attach_stdin: stdin,
        attach_stdout: attach.is_empty() || wants("stdout"),
        attach_stderr: attach.is_empty() || wants("stderr"),
        exposed_ports: exposed,
        tty: m.on("tty"),
        open_stdin: m.on("interactive"),
        stdin_once: m.on("interactive"),
        env: env::variables(&m.all("env-file"), &m.all("env"))?,
        cmd: (!command.is_empty()).then(|| command.to_vec()),
        image: image.clone(),
        volumes,
        working_dir: m.text("workdir"),
        // An empty one takes the image's away, and the daemon wants it in a list.
        entrypoint: m.get("entrypoint").map(|e| vec![e.to_owned()]),
        labels: env::labels(&m.all("label-file"), &m.all("label"))?,
        stop_signal: m.text("stop-signal"),
        stop_timeout: m.int("stop-timeout"),
        healthcheck: options::health::check(m)?,
        ..ContainerConfig::default()
    };
    let (network_mode, networking_config) = networks::join(m)?;
    Ok(CreateRequest {
        config,
        host_config: host(m, binds, published, network_mode)?,
        networking_config,
        other: Map::new(),
    })
}

fn host(
    m: &Matches,
    binds: Vec<String>,
    port_bindings: PortMap,
    network_mode: String,
) -> Result<HostConfig> {
    let restart_policy = restart(m.get("restart").unwrap_or("no"))?;
    let auto_remove = m.on("rm");
    if auto_remove && !matches!(restart_policy.name.as_str(), "" | "no") {
        return Err(Error::msg(
            "conflicting options: cannot specify both --restart and --rm",
        ));
    }
    let bytes = |name: &str| m.get(name).map_or(Ok(0), size::parse).map_err(Error::msg);
    let mut ulimits = BTreeMap::new();
    for text in m.all("ulimit") {
        let limit = ulimit::parse(&text).map_err(Error::msg)?;
        ulimits.insert(limit.name.clone(), limit);
    }
    let (security_opt, open_paths) = security(&m.all("security-opt"))?;
    let (rows, columns) = crate::tty::size()
        .filter(|_| m.on("tty"))
        .unwrap_or_default();
    Ok(HostConfig {
        binds,
        container_id_file: m.text("cidfile"),
        log_config: log(m)?,
        network_mode,
        port_bindings,
        restart_policy,
        auto_remove,
        console_size: [rows, columns],
        cap_add: capabilities(&m.all("cap-add")),
        cap_drop: capabilities(&m.all("cap-drop")),
        group_add: m.all("group-add"),
        privileged: m.on("privileged"),
        publish_all_ports: m.on("publish-all"),
        readonly_rootfs: m.on("read-only"),
        security_opt,
        tmpfs: m
            .all("tmpfs")
            .iter()
            .map(|t| {
                let (path, options) = t.split_once(':').unwrap_or((t, ""));
                (path.to_owned(), options.to_owned())
            })
            .collect(),
        shm_size: bytes("shm-size")?,
        runtime: m.text("runtime"),
        cgroup_parent: m.text("cgroup-parent"),
        cgroupns_mode: m.text("cgroupns"),
        memory: bytes("memory")?,
        memory_swap: match m.get("memory-swap") {
            Some("-1") => -1,
            _ => bytes("memory-swap")?,
        },
        nano_cpus: m
            .get("cpus")
            .map_or(Ok(0), checks::nano_cpus)
            .map_err(Error::msg)?,
        pids_limit: m.int("pids-limit"),
        ulimits: ulimits.into_values().collect(),
        init: m.switch("init"),
        volume_driver: m.text("volume-driver"),
        volumes_from: some(m.all("volumes-from")),
        mounts: full_mounts(&m.all("mount"))?,
        dns: each(&m.all("dns"), names::address)?,
        dns_options: [m.all("dns-opt"), m.all("dns-option")].concat(),
        dns_search: m.all("dns-search"),
        extra_hosts: some(each(&m.all("add-host"), names::host)?),
        links: some(m.all("link")),
        masked_paths: open_paths.then(Vec::new),
        readonly_paths: open_paths.then(Vec::new),
        ..host_config::kernel(m)?
    })
}

/// Capabilities under their full names, each once.
fn capabilities(given: &[String]) -> Vec<String> {
    let mut all: Vec<String> = given
        .iter()
        .map(|name| name.trim().to_uppercase())
        .map(|name| match name.as_str() {
            "ALL" | "RESET" => name,
            _ if name.starts_with("CAP_") => name,
            _ => format!("CAP_{name}"),
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn publish(given: &[String]) -> Result<PortMap> {
    let mut map = PortMap::new();
    for text in given {
        ports::publish(text, &mut map).map_err(Error::msg)?;
    }
    Ok(map)
}

fn mounts(given: &[String]) -> Result<(Vec<String>, BTreeMap<String, Empty>)> {
    let here = std::env::current_dir().map_err(|e| Error::file("getwd", ".", &e))?;
    let (mut binds, mut volumes) = (Vec::new(), BTreeMap::new());
    for text in given {
        match volume::parse(text, &here)? {
            volume::Volume::Bind(bind) => binds.push(bind),
            volume::Volume::Anonymous(path) => {
                volumes.insert(path, Empty {});
            }
        }
    }
    Ok((binds, volumes))
}

fn full_mounts(given: &[String]) -> Result<Vec<MountSpec>> {
    let here = std::env::current_dir().map_err(|e| Error::file("getwd", ".", &e))?;
    each(given, |text| mount::parse(text, &here))
}

fn each<T>(
    given: &[String],
    read: impl Fn(&str) -> std::result::Result<T, String>,
) -> Result<Vec<T>> {
    let all = given.iter().map(|text| read(text));
    all.collect::<std::result::Result<_, _>>()
        .map_err(Error::msg)
}

/// docker sends no list where nothing was given.
fn some(given: Vec<String>) -> Option<Vec<String>> {
    (!given.is_empty()).then_some(given)
}

/// `on-failure:3`.
pub(crate) fn restart(text: &str) -> Result<RestartPolicy> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (
            name,
            count.parse().map_err(|_| {
                Error::msg("invalid restart policy format: maximum retry count must be an integer")
            })?,
        ),
        None => (text, 0),
    };
    if text.starts_with(':') {
        return Err(Error::msg(
            "invalid restart policy format: no policy provided before colon",
        ));
    }
    Ok(RestartPolicy {
        name: name.to_owned(),
        maximum_retry_count: count,
    })
}

fn log(m: &Matches) -> Result<LogConfig> {
    let kind = m.text("log-driver");
    let config: BTreeMap<String, String> = m
        .all("log-opt")
        .iter()
        .map(|o| {
            let (name, value) = o.split_once('=').unwrap_or((o, ""));
            (name.to_owned(), value.to_owned())
        })
        .collect();
    if kind == "none" && !config.is_empty() {
        return Err(Error::msg("invalid logging opts for driver none"));
    }
    Ok(LogConfig { kind, config })
}

/// A profile's file is read here: the daemon may not see it.
/// Also answers whether no path is to be hidden or read-only.
fn security(given: &[String]) -> Result<(Vec<String>, bool)> {
    let (mut all, mut open_paths) = (Vec::new(), false);
    for text in given {
        let (name, value) = match text.split_once('=').or_else(|| text.split_once(':')) {
            Some(parts) => parts,
            None if text == "no-new-privileges" => {
                all.push(text.clone());
                continue;
            }
            None => {
                return Err(Error::msg(format!(
                    "Invalid --security-opt: {}",
                    crate::format::quote(text)
                )));
            }
        };
        match (name, value) {
            ("systempaths", "unconfined") => open_paths = true,
            ("seccomp", file) if file != "unconfined" && file != "builtin" => {
                let profile = std::fs::read(file).map_err(|e| {
                    Error::msg(format!(
                        "opening seccomp profile ({file}) failed: open {file}: {}",
                        errno_text(&e)
                    ))
                })?;
                let profile: Value = serde_json::from_slice(&profile).map_err(|e| {
                    Error::msg(format!(
                        "compacting json for seccomp profile ({file}) failed: {e}"
                    ))
                })?;
                all.push(format!("seccomp={profile}"));
            }
            _ => all.push(format!("{name}={value}")),
        }
    }
    Ok((all, open_paths))
}
