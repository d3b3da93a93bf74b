//! What an answer has in one version of the API and not in another.

use serde::Serialize;
use serde_json::{Map, Value};
use types::{
    Failure,
    container::{ContainerInspect, NEVER},
    id,
    image::{ImageInspect, ImageSummary},
    system::Info,
    usage::DiskUsage,
    version::ApiVersion,
};

use crate::{backend::Result, endpoint_settings::is_own, fields};

const V1_25: ApiVersion = ApiVersion(1, 25);
const V1_42: ApiVersion = ApiVersion(1, 42);
const V1_43: ApiVersion = ApiVersion(1, 43);
const V1_44: ApiVersion = ApiVersion(1, 44);
const V1_45: ApiVersion = ApiVersion(1, 45);
const V1_48: ApiVersion = ApiVersion(1, 48);
const V1_49: ApiVersion = ApiVersion(1, 49);
const V1_50: ApiVersion = ApiVersion(1, 50);

/// Members of an image's `Config` that describe containers; left out since 1.50.
const CONTAINERS_ONLY: &[&str] = &[
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "NetworkDisabled",
    "MacAddress",
    "StopTimeout",
];

fn object(value: &impl Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Failure::system("the answer is not a JSON object")),
        Err(error) => Err(Failure::system(format!(
            "cannot write the answer as JSON: {error}"
        ))),
    }
}

fn member<'a>(map: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(name).and_then(Value::as_object_mut)
}

/// `GET /containers/{id}/json`, with every member of `HostConfig` that clients look for.
pub(crate) fn container_inspect(
    version: ApiVersion,
    mut container: ContainerInspect,
) -> Result<Map<String, Value>> {
    fields::fill_host_config(&mut container.host_config);
    let mut map = object(&container)?;
    if version < V1_42
        && let Some(host) = member(&mut map, "HostConfig")
    {
        host.entry("KernelMemory").or_insert(0.into());
    }
    if version < V1_44
        && let Some(config) = member(&mut map, "Config")
    {
        let mac = container.network_settings.mac_address;
        config.entry("MacAddress").or_insert(mac.into());
    }
    if let Some(config) = member(&mut map, "Config") {
        null_after(config, "Volumes", "Image");
        null_after(config, "OnBuild", "Entrypoint");
    }
    let networks = member(&mut map, "NetworkSettings").and_then(|n| member(n, "Networks"));
    for (name, network) in networks.into_iter().flatten() {
        let Some(network) = network.as_object_mut() else {
            continue;
        };
        if version < V1_48 {
            network.remove("GwPriority");
        }
        if version < V1_45 && is_own(name) {
            // Names that are in `DNSNames` since then.
            let names = [id::short(&container.id), &container.config.hostname];
            add_aliases(network, &names);
        }
        if version < V1_44 {
            network.remove("DNSNames");
        }
    }
    Ok(map)
}

fn add_aliases(network: &mut Map<String, Value>, names: &[&str]) {
    let aliases = network.entry("Aliases").or_insert(Value::Null);
    if aliases.is_null() {
        *aliases = Value::Array(Vec::new());
    }
    let Some(aliases) = aliases.as_array_mut() else {
        return;
    };
    for name in names.iter().filter(|n| !n.is_empty()) {
        if !aliases.iter().any(|a| a == name) {
            aliases.push((*name).into());
        }
    }
}

/// Docker shows these even where there are none; templates ask for them.
fn null_after(config: &mut Map<String, Value>, name: &str, before: &str) {
    if config.contains_key(name) {
        return;
    }
    let place = config.keys().position(|key| key == before);
    let place = place.map_or(config.len(), |place| place + 1);
    config.shift_insert(place, name.to_owned(), Value::Null);
}

/// `GET /images/{name}/json`.
pub(crate) fn image_inspect(
    version: ApiVersion,
    mut image: ImageInspect,
) -> Result<Map<String, Value>> {
    image.virtual_size = (version < V1_44).then_some(image.size);
    if version < V1_44 && image.created.is_none() {
        image.created = Some(NEVER.to_owned());
    }
    let mut map = object(&image)?;
    if version < V1_45 {
        // Of the container that a classic build committed; there is none.
        map.insert("Container".into(), "".into());
        let empty = types::container::ContainerConfig::default();
        map.insert("ContainerConfig".into(), object(&empty)?.into());
    }
    if version >= V1_50
        && let Some(config) = member(&mut map, "Config")
    {
        CONTAINERS_ONLY.iter().for_each(|name| {
            config.remove(*name);
        });
    }
    Ok(map)
}

/// `GET /images/json`.
pub(crate) fn image_list(version: ApiVersion, mut images: Vec<ImageSummary>) -> Vec<ImageSummary> {
    for image in &mut images {
        image.virtual_size = (version < V1_44).then_some(image.size);
        if version < V1_43 && image.repo_tags.is_empty() && image.repo_digests.is_empty() {
            image.repo_tags.push("<none>:<none>".into());
            image.repo_digests.push("<none>@<none>".into());
        }
    }
    images
}

/// `GET /system/df`.
pub(crate) fn disk_usage(version: ApiVersion, mut usage: DiskUsage) -> DiskUsage {
    usage.images = usage.images.map(|images| image_list(version, images));
    usage.builder_size = (version < V1_42).then_some(0);
    usage
}

/// `GET /info`.
pub(crate) fn info(version: ApiVersion, info: &Info) -> Result<Map<String, Value>> {
    let mut map = object(info)?;
    if version < V1_25 {
        // `name=seccomp,profile=builtin` was plain `seccomp`.
        let options = info.security_options.iter();
        let names = options.filter_map(|o| o.split(',').find_map(|p| p.strip_prefix("name=")));
        map.insert("SecurityOptions".into(), names.collect());
    }
    if version < V1_49 {
        for name in ["ContainerdCommit", "RuncCommit", "InitCommit"] {
            if let Some(commit) = member(&mut map, name) {
                let id = commit.get("ID").cloned().unwrap_or_default();
                commit.insert("Expected".into(), id);
            }
        }
    }
    if version < V1_50 {
        map.remove("DiscoveredDevices");
        map.insert("BridgeNfIptables".into(), false.into());
        map.insert("BridgeNfIp6tables".into(), false.into());
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_change_with_the_version() {
        let of = |version| {
            image_inspect(
                version,
                ImageInspect {
                    size: 5,
                    ..Default::default()
                },
            )
        };
        let (old, new) = (of(V1_43).unwrap(), of(ApiVersion::MAX).unwrap());
        assert_eq!(old["VirtualSize"], 5);
        assert_eq!(old["Created"], NEVER);
        assert_eq!(old["ContainerConfig"]["Hostname"], "");
        assert_eq!(old["Config"]["Hostname"], "");
        for name in ["VirtualSize", "Created", "ContainerConfig", "Container"] {
            assert!(!new.contains_key(name), "{name}");
        }
        assert!(!new["Config"].as_object().unwrap().contains_key("Hostname"));
        let list = |version| image_list(version, vec![ImageSummary::default()]).remove(0);
        assert_eq!(list(ApiVersion(1, 42)).repo_tags, ["<none>:<none>"]);
        assert!(list(V1_43).repo_tags.is_empty() && list(V1_43).virtual_size.is_some());
        assert!(list(V1_44).virtual_size.is_none());
    }

    #[test]
    fn info_of_old_clients() {
        let facts = Info {
            security_options: vec!["name=seccomp,profile=builtin".into()],
            ..Default::default()
        };
        let old = info(ApiVersion::MIN, &facts).unwrap();
        assert_eq!(old["SecurityOptions"], serde_json::json!(["seccomp"]));
        assert_eq!(old["RuncCommit"]["Expected"], "");
        let new = info(ApiVersion::MAX, &facts).unwrap();
        assert_eq!(new["SecurityOptions"][0], "name=seccomp,profile=builtin");
        assert!(!new.contains_key("BridgeNfIptables"));
    }
}
