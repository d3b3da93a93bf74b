//! What a request to create a container means in older versions of the API.

use serde_json::{Value, json};
use types::{container::CreateRequest, version::ApiVersion};

use crate::error::Refusal;

/// Brings a request of `version` into today's form; answers what the client should know.
pub(crate) fn adjust(
    request: &mut CreateRequest,
    version: ApiVersion,
) -> Result<Vec<String>, Refusal> {
    let before = |minor| version < ApiVersion(1, minor);
    let host = &mut request.host_config;
    if before(25) {
        host.auto_remove = false;
    }
    if !before(42) {
        // Gone from this version on; older clients are warned that kernels lost it.
        host.kernel_memory = 0;
    }
    if before(40) {
        host.kernel_memory_tcp = 0;
    }
    for mount in &mut host.mounts {
        if let Some(bind) = &mut mount.bind_options {
            // As Docker: what a version does not know is left out, what would be unsafe to leave
            // out is refused.
            bind.non_recursive &= !before(40);
            bind.create_mountpoint &= !before(42);
            bind.read_only_non_recursive &= !before(44);
            if bind.read_only_force_recursive && before(44) {
                return Err(needs("BindOptions.ReadOnlyForceRecursive", "1.44"));
            }
        }
        if let Some(volume) = &mount.volume_options
            && !volume.subpath.is_empty()
            && before(45)
        {
            return Err(needs("VolumeOptions.Subpath", "1.45"));
        }
    }
    if before(43) {
        host.annotations.clear();
    }
    if before(44)
        && let Some(health) = &mut request.config.healthcheck
    {
        health.start_interval = 0;
    }
    hardware_address(request, before(44))
}

fn needs(what: &str, version: &str) -> Refusal {
    Refusal::bad(format!("{what} needs API v{version} or newer"))
}

/// The container's hardware address was a matter of the container, and is one of its end in a
/// network.
fn hardware_address(request: &mut CreateRequest, old: bool) -> Result<Vec<String>, Refusal> {
    let endpoints = &mut request.networking_config.endpoints_config;
    if old {
        // Not known there yet.
        for settings in endpoints.values_mut() {
            settings.remove("MacAddress");
        }
    }
    let mac = request.config.mac_address.clone();
    if mac.is_empty() {
        return Ok(Vec::new());
    }
    let mode = request.host_config.network_mode.as_str();
    if mode == "host" || mode.starts_with("container:") {
        return Err(Refusal::bad(
            "conflicting options: mac-address and the network mode",
        ));
    }
    let name = if mode.is_empty() { "default" } else { mode };
    // Under whichever of its names the default network is there.
    let known = match name {
        "default" | "bridge" => ["default", "bridge"]
            .into_iter()
            .find(|n| endpoints.contains_key(*n))
            .unwrap_or(name),
        other => other,
    };
    let settings = endpoints.entry(known.to_owned()).or_default();
    match settings.get("MacAddress").and_then(Value::as_str) {
        Some(other) if !other.is_empty() && other != mac => {
            return Err(Refusal::bad(
                "the container-wide MAC address must match the endpoint-specific MAC address for \
                 the main network, or be left empty",
            ));
        }
        _ => settings.insert("MacAddress".to_owned(), json!(mac)),
    };
    let warning = "The container-wide MacAddress field is now deprecated. It should be specified \
                   in EndpointsConfig instead.";
    Ok(if old {
        Vec::new()
    } else {
        vec![warning.to_owned()]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(body: Value, minor: u16) -> Result<(CreateRequest, Vec<String>), String> {
        let mut request = serde_json::from_value(body).unwrap();
        let warnings = adjust(&mut request, ApiVersion(1, minor)).map_err(|r| r.message)?;
        Ok((request, warnings))
    }

    #[test]
    fn mounts() {
        let body = json!({"HostConfig": {"Mounts": [{"BindOptions": {"NonRecursive": true,
            "CreateMountpoint": true, "ReadOnlyNonRecursive": true}}]}});
        let bind = |minor| {
            let (request, _) = adjusted(body.clone(), minor).unwrap();
            let bind = request.host_config.mounts[0].bind_options.clone().unwrap();
            (
                bind.non_recursive,
                bind.create_mountpoint,
                bind.read_only_non_recursive,
            )
        };
        assert_eq!(bind(39), (false, false, false));
        assert_eq!(bind(43), (true, true, false));
        assert_eq!(bind(44), (true, true, true));
        let body = json!({"HostConfig": {"Mounts": [{"VolumeOptions": {"Subpath": "a"}}]}});
        assert_eq!(
            adjusted(body.clone(), 44).unwrap_err(),
            "VolumeOptions.Subpath needs API v1.45 or newer"
        );
        adjusted(body, 45).unwrap();
    }

    #[test]
    fn hardware_addresses() {
        let mac = "02:42:00:00:00:01";
        let of = |request: &CreateRequest, name: &str| {
            request.networking_config.endpoints_config[name]["MacAddress"].clone()
        };
        let (request, warnings) = adjusted(json!({"MacAddress": mac}), 43).unwrap();
        assert_eq!((of(&request, "default"), warnings.len()), (json!(mac), 0));
        let body = json!({"MacAddress": mac, "NetworkingConfig": {"EndpointsConfig":
            {"bridge": {"MacAddress": ""}}}});
        let (request, warnings) = adjusted(body, 44).unwrap();
        assert_eq!((of(&request, "bridge"), warnings.len()), (json!(mac), 1));
        let body = json!({"MacAddress": mac, "HostConfig": {"NetworkMode": "host"}});
        assert_eq!(
            adjusted(body, 44).unwrap_err(),
            "conflicting options: mac-address and the network mode"
        );
    }
}
