//! Members of requests that the API 1.24 to 1.51 knows and wharf does not support yet. Clients
//! send all of them, so each has the values that stand for "left alone"; any other is refused by
//! name rather than ignored. What the table knows nothing of is ignored, as Docker does.

use serde_json::{Map, Value};
use types::{
    Failure,
    container::{CreateRequest, HostConfig},
    json::is_zero,
};

use crate::backend::Result;

/// A member of `HostConfig`.
struct Field {
    name: &'static str,
    /// What `inspect` shows, as JSON; nothing where Docker leaves it out.
    shown: &'static str,
    /// Strings and numbers that mean the default, besides the zero value.
    also: &'static [&'static str],
}

const fn field(name: &'static str, shown: &'static str) -> Field {
    Field {
        name,
        shown,
        also: &[],
    }
}

const fn like(name: &'static str, shown: &'static str, also: &'static [&'static str]) -> Field {
    Field { name, shown, also }
}

const HOST: &[Field] = &[
    like("VolumeDriver", "\"\"", &["local"]),
    field("VolumesFrom", "null"),
    field("Dns", "[]"),
    field("DnsOptions", "[]"),
    field("DnsSearch", "[]"),
    field("ExtraHosts", "null"),
    field("Cgroup", "\"\""),
    field("Links", "null"),
    like("Isolation", "\"\"", &["default"]),
    field("CpuCount", "0"),
    field("CpuPercent", "0"),
    field("IOMaximumIOps", "0"),
    field("IOMaximumBandwidth", "0"),
    field("Mounts", ""),
    // Gone from newer versions.
    field("DiskQuota", ""),
    field("Capabilities", ""),
];

/// Members of `POST /containers/create` besides those of the host.
const CONFIG: &[&str] = &[
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "Healthcheck",
    "ArgsEscaped",
    "Image",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "MacAddress",
    "OnBuild",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "HostConfig",
    "NetworkingConfig",
];

/// Members of `HostConfig` that wharf supports.
const SUPPORTED: &[&str] = &[
    "Binds",
    "ContainerIDFile",
    "LogConfig",
    "NetworkMode",
    "PortBindings",
    "RestartPolicy",
    "AutoRemove",
    "ConsoleSize",
    "CapAdd",
    "CapDrop",
    "GroupAdd",
    "Privileged",
    "PublishAllPorts",
    "ReadonlyRootfs",
    "SecurityOpt",
    "Tmpfs",
    "ShmSize",
    "Runtime",
    "CgroupParent",
    "CgroupnsMode",
    "Memory",
    "MemorySwap",
    "NanoCpus",
    "PidsLimit",
    "Ulimits",
    "Init",
    "IpcMode",
    "OomScoreAdj",
    "PidMode",
    "UTSMode",
    "UsernsMode",
    "CpuShares",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "Devices",
    "DeviceCgroupRules",
    "DeviceRequests",
    "MemoryReservation",
    "MemorySwappiness",
    "OomKillDisable",
    "StorageOpt",
    "Sysctls",
    "Annotations",
    "KernelMemory",
    "KernelMemoryTCP",
    "MaskedPaths",
    "ReadonlyPaths",
];

/// Gives members the spelling of the API: Docker reads them in any case, so that `hostconfig`
/// must not slip through as unknown.
pub fn respell(request: &mut Value) {
    let Some(members) = request.as_object_mut() else {
        return;
    };
    let all = CONFIG.iter().copied();
    respell_with(members, all);
    if let Some(host) = members.get_mut("HostConfig").and_then(Value::as_object_mut) {
        let table = HOST.iter().map(|f| f.name);
        respell_with(host, SUPPORTED.iter().copied().chain(table));
    }
}

/// [`respell`] for a body whose members are those of `HostConfig`.
pub fn respell_host(body: &mut Value) {
    if let Some(members) = body.as_object_mut() {
        let table = HOST.iter().map(|f| f.name);
        respell_with(members, SUPPORTED.iter().copied().chain(table));
    }
}

/// Whether it is a member of `HostConfig`.
#[must_use]
pub fn is_known(name: &str) -> bool {
    SUPPORTED.contains(&name) || HOST.iter().any(|f| f.name == name)
}

fn respell_with(members: &mut Map<String, Value>, known: impl Iterator<Item = &'static str>) {
    for name in known {
        let other = |key: &&String| *key != name && key.eq_ignore_ascii_case(name);
        while let Some(key) = members.keys().find(other).cloned() {
            // The last of several spellings counts, as for Docker.
            if let Some(value) = members.remove(&key) {
                members.insert(name.to_owned(), value);
            }
        }
    }
}

/// The refusal of `what`.
#[must_use]
pub fn unsupported(what: &str) -> Failure {
    Failure::not_implemented(format!(
        "{what} is not supported by wharf yet: leave it out"
    ))
}

fn is_default(field: &Field, value: &Value) -> bool {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    is_zero(value) || field.also.contains(&text.as_str())
}

/// Refuses whatever is set and not supported yet.
///
/// # Errors
/// [`types::ErrorKind::NotImplemented`], naming the member.
pub fn check(request: &CreateRequest) -> Result<()> {
    let host = &request.host_config;
    let refuse = |name: &str| Err(unsupported(&format!("HostConfig.{name}")));
    for field in HOST {
        if let Some(value) = host.other.get(field.name)
            && !is_default(field, value)
        {
            return refuse(field.name);
        }
    }
    check_log(host)?;
    check_config(request)?;
    check_networks(request)
}

fn check_log(host: &HostConfig) -> Result<()> {
    let log = &host.log_config;
    if !matches!(log.kind.as_str(), "" | "json-file" | "none") {
        return Err(unsupported(&format!(
            "HostConfig.LogConfig.Type {:?}",
            log.kind
        )));
    }
    match log.config.keys().next() {
        Some(name) => Err(unsupported(&format!(
            "HostConfig.LogConfig.Config {name:?}"
        ))),
        None => Ok(()),
    }
}

fn check_config(request: &CreateRequest) -> Result<()> {
    let config = &request.config;
    if !config.mac_address.is_empty() {
        return Err(unsupported("Config.MacAddress"));
    }
    if config.network_disabled {
        return Err(unsupported("Config.NetworkDisabled"));
    }
    Ok(())
}

/// Only the network of `NetworkMode`, and nothing asked of it.
fn check_networks(request: &CreateRequest) -> Result<()> {
    let canonical = |name: &str| match name {
        "" | "default" | "bridge" => "bridge".to_owned(),
        other => other.to_owned(),
    };
    let mode = canonical(&request.host_config.network_mode);
    for (name, settings) in &request.networking_config.endpoints_config {
        let path = format!("NetworkingConfig.EndpointsConfig.{name}");
        if canonical(name) != mode {
            return Err(match canonical(name).as_str() {
                "bridge" | "host" | "none" => unsupported(&path),
                // Not NotFound: clients take that for a missing image, and pull it.
                _ => Failure::invalid(format!("network {name} not found")),
            });
        }
        if let Some((member, _)) = settings.iter().find(|(_, value)| !is_zero(value)) {
            return Err(unsupported(&format!("{path}.{member}")));
        }
    }
    Ok(())
}

/// Adds the members that Docker's `inspect` shows and wharf does not support, each with its
/// default, and drops those that nobody knows.
pub fn fill_host_config(host: &mut HostConfig) {
    let mut sent = std::mem::take(&mut host.other);
    let mut shown = Map::new();
    for field in HOST {
        let kept = sent
            .remove(field.name)
            .filter(|value| value.is_string() && !is_zero(value));
        let default = || serde_json::from_str(field.shown).ok();
        if let Some(value) = kept.or_else(default) {
            shown.insert(field.name.to_owned(), value);
        }
    }
    if !host.privileged {
        let owned = |paths: &[&str]| paths.iter().map(|p| (*p).to_owned()).collect();
        let masked = || owned(types::container::MASKED_PATHS);
        host.masked_paths.get_or_insert_with(masked);
        let readonly = || owned(types::container::READONLY_PATHS);
        host.readonly_paths.get_or_insert_with(readonly);
    }
    host.other = shown;
}

#[cfg(test)]
mod tests;
