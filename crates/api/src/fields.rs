//! Members of requests that the API 1.24 to 1.51 knows and wharf does not support yet. Clients
//! send all of them, so each has the values that stand for "left alone"; any other is refused by
//! name rather than ignored. What the table knows nothing of is ignored, as Docker does.

use serde_json::{Map, Value};
use types::{
    Failure,
    container::{CreateRequest, HostConfig},
    json::is_zero,
};

use crate::{backend::Result, endpoint_settings};

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
    endpoint_settings::all(request)
}

fn check_config(request: &CreateRequest) -> Result<()> {
    let config = &request.config;
    if config.network_disabled {
        return Err(unsupported("Config.NetworkDisabled"));
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
