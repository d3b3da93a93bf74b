//! What a request to create a container means in older versions of the API.

use std::collections::BTreeMap;

use types::{
    container::{CreateRequest, EndpointSettings},
    version::ApiVersion,
};

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
    networks(request, version)?;
    hardware_address(request, before(44))
}

fn needs(what: &str, version: &str) -> Refusal {
    Refusal::bad(format!("{what} needs API v{version} or newer"))
}

/// What a version does not know of a container's end in a network. Links of several at once came
/// with the address of each.
pub(crate) fn endpoint(settings: &mut EndpointSettings, version: ApiVersion) {
    if version < ApiVersion(1, 44) {
        settings.mac_address.clear();
    }
    if version < ApiVersion(1, 48) {
        settings.gw_priority = 0;
    }
}

/// Before 1.44 a container was made in one network, and connected to others later.
fn networks(request: &mut CreateRequest, version: ApiVersion) -> Result<(), Refusal> {
    let endpoints = &mut request.networking_config.endpoints_config;
    if version < ApiVersion(1, 44) && endpoints.len() > 1 {
        let names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
        return Err(Refusal::bad(format!(
            "Container cannot be created with multiple network endpoints: {}",
            names.join(", ")
        )));
    }
    for settings in endpoints.values_mut() {
        endpoint(settings, version);
    }
    Ok(())
}

/// The container's hardware address was a matter of the container, and is one of its end in a
/// network.
fn hardware_address(request: &mut CreateRequest, old: bool) -> Result<Vec<String>, Refusal> {
    let mac = std::mem::take(&mut request.config.mac_address);
    if mac.is_empty() {
        return Ok(Vec::new());
    }
    let mode = request.host_config.network_mode.as_str();
    if mode == "host" || mode.starts_with("container:") || (mode == "none" && old) {
        return Err(Refusal::bad(
            "conflicting options: mac-address and the network mode",
        ));
    }
    let endpoints = &mut request.networking_config.endpoints_config;
    if mode != "none" {
        let mode = if mode.is_empty() { "default" } else { mode };
        let settings = main_network(endpoints, mode, old)?;
        if !settings.mac_address.is_empty() && settings.mac_address != mac {
            return Err(Refusal::bad(
                "the container-wide MAC address must match the endpoint-specific MAC address for \
                 the main network, or be left empty",
            ));
        }
        settings.mac_address = mac;
    }
    let warning = "The container-wide MacAddress field is now deprecated. It should be specified \
                   in EndpointsConfig instead.";
    Ok(if old {
        Vec::new()
    } else {
        vec![warning.to_owned()]
    })
}

/// The entry of the network of the container's mode. One is made only where there is none at all:
/// the mode may name by its identifier what an entry has by its name.
fn main_network<'a>(
    endpoints: &'a mut BTreeMap<String, EndpointSettings>,
    mode: &str,
    old: bool,
) -> Result<&'a mut EndpointSettings, Refusal> {
    let names: &[&str] = match mode {
        "default" | "bridge" => &["default", "bridge"],
        _ => &[mode],
    };
    let known = names.iter().find(|n| endpoints.contains_key(**n));
    let key = match (known, endpoints.keys().next()) {
        (Some(known), _) => (*known).to_owned(),
        (None, Some(only)) if old => only.clone(),
        (None, None) => mode.to_owned(),
        (None, Some(_)) => {
            return Err(Refusal::bad(
                "unable to migrate container-wide MAC address to a specific network: \
                 HostConfig.NetworkMode must match the identity of a network in \
                 NetworkSettings.Networks",
            ));
        }
    };
    Ok(endpoints.entry(key).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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
            let endpoints = &request.networking_config.endpoints_config;
            endpoints[name].mac_address.clone()
        };
        let (request, warnings) = adjusted(json!({"MacAddress": mac}), 43).unwrap();
        assert_eq!((of(&request, "default").as_str(), warnings.len()), (mac, 0));
        let body = json!({"MacAddress": mac, "NetworkingConfig": {"EndpointsConfig":
            {"bridge": {"MacAddress": ""}}}});
        let (request, warnings) = adjusted(body, 44).unwrap();
        assert_eq!((of(&request, "bridge").as_str(), warnings.len()), (mac, 1));
        let own = json!({"MacAddress": mac, "HostConfig": {"NetworkMode": "id"},
            "NetworkingConfig": {"EndpointsConfig": {"mine": {"MacAddress": "ignored"}}}});
        let (request, _) = adjusted(own.clone(), 43).unwrap();
        assert_eq!(of(&request, "mine"), mac);
        assert!(
            adjusted(own, 44)
                .unwrap_err()
                .starts_with("unable to migrate")
        );
        let body = json!({"MacAddress": mac, "HostConfig": {"NetworkMode": "host"}});
        assert_eq!(
            adjusted(body, 44).unwrap_err(),
            "conflicting options: mac-address and the network mode"
        );
    }

    #[test]
    fn networks_of_several_versions() {
        let body = json!({"NetworkingConfig": {"EndpointsConfig":
            {"a": {"GwPriority": 3, "MacAddress": "02:42:00:00:00:01"}, "b": null}}});
        let body = |minor| {
            let request =
                crate::json::from_value_at(body["NetworkingConfig"].clone(), "x").unwrap();
            let mut request = CreateRequest {
                networking_config: request,
                ..CreateRequest::default()
            };
            adjust(&mut request, ApiVersion(1, minor)).map_err(|r| r.message)?;
            Ok::<_, String>(request.networking_config.endpoints_config)
        };
        assert_eq!(
            body(43).unwrap_err(),
            "Container cannot be created with multiple network endpoints: a, b"
        );
        let old = body(47).unwrap();
        assert_eq!((old["a"].gw_priority, old["a"].mac_address.len()), (0, 17));
        assert_eq!(body(48).unwrap()["a"].gw_priority, 3);
    }
}
