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
    field("Cgroup", "\"\""),
    like("Isolation", "\"\"", &["default"]),
    field("CpuCount", "0"),
    field("CpuPercent", "0"),
    field("IOMaximumIOps", "0"),
    field("IOMaximumBandwidth", "0"),
    // Gone from newer versions.
    field("DiskQuota", ""),
    field("Capabilities", ""),
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
    "VolumeDriver",
    "VolumesFrom",
    "Mounts",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "Links",
];

/// Whether it is a member of `HostConfig`.
pub(crate) fn is_known(name: &str) -> bool {
    SUPPORTED.contains(&name) || HOST.iter().any(|f| f.name == name)
}

/// All members of `HostConfig`.
pub(crate) fn host_members() -> Vec<&'static str> {
    let table = HOST.iter().map(|f| f.name);
    SUPPORTED.iter().copied().chain(table).collect()
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
    check_config(request)?;
    check_networks(request)
}

fn check_config(request: &CreateRequest) -> Result<()> {
    let config = &request.config;
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
        endpoint(name, settings)?;
        // The hardware address is the engine's to give; docker's CLI says links twice. What else is
        // said of a network's end belongs to networks of the user's own.
        let other = |(member, value): &(&String, &Value)| match member.as_str() {
            _ if is_zero(value) => false,
            "MacAddress" => mode != "bridge",
            "Links" => **value != serde_json::json!(request.host_config.links),
            _ => true,
        };
        if let Some((member, _)) = settings.iter().find(other) {
            return Err(unsupported(&format!("{path}.{member}")));
        }
    }
    Ok(())
}

/// What Docker refuses on the networks that are always there.
fn endpoint(name: &str, settings: &Map<String, Value>) -> Result<()> {
    let mut wrong = Vec::new();
    let ipam = settings.get("IPAMConfig").and_then(Value::as_object);
    let address = |member: &str| {
        let value = ipam.and_then(|i| i.get(member));
        value.is_some_and(|v| !is_zero(v))
    };
    if address("IPv4Address") || address("IPv6Address") {
        wrong.push(
            "user specified IP address is supported on user defined networks only".to_owned(),
        );
    }
    if settings.get("Aliases").is_some_and(|a| !is_zero(a)) {
        wrong.push(
            "network-scoped alias is supported only for containers in user defined networks"
                .to_owned(),
        );
    }
    let mac = settings.get("MacAddress").and_then(Value::as_str);
    if let Some(mac) = mac.filter(|m| !m.is_empty() && !is_mac(m)) {
        wrong.push(format!("invalid MAC address {mac}"));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "invalid config for network {name}: invalid endpoint settings:\n{}",
        wrong.join("\n")
    )))
}

/// Six bytes in hexadecimal.
fn is_mac(text: &str) -> bool {
    let hex = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6 && parts.into_iter().all(hex)
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
