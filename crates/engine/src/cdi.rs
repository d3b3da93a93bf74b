//! The Container Device Interface: vendors describe in `/etc/cdi` and `/run/cdi` what a container
//! needs for a device, and users ask for `vendor/class=name`.
//!
//! The files are read whenever a device is asked for, as drivers come and go; nothing an image
//! says (labels, annotations) asks for a device.

mod file;

use std::{collections::BTreeMap, path::PathBuf};

use runtime::spec::Edits;
use types::container::{DeviceRequest, HostConfig};

use crate::error::{Error, Result};

/// What `--gpus` means where a vendor describes its devices.
const GPUS: &str = "nvidia.com/gpu";

/// Where specifications are looked for unless the daemon is told otherwise: of two that describe
/// one device, that of the later directory counts.
pub const DEFAULT_DIRS: &[&str] = &["/etc/cdi", "/run/cdi"];

/// All devices that are described, and what each needs.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    devices: BTreeMap<String, Edits>,
    /// Files that cannot be used, and why.
    broken: Vec<String>,
}

impl Registry {
    /// Reads all specifications.
    pub(crate) fn read(dirs: &[PathBuf]) -> Self {
        let mut found = Self::default();
        for dir in dirs {
            // Two files of one directory that describe one device: neither can be right.
            let mut here: BTreeMap<String, Option<Edits>> = BTreeMap::new();
            for path in file::specifications(dir) {
                match file::read(&path) {
                    Ok(devices) => {
                        for (name, edits) in devices {
                            let slot = here.entry(name).or_insert_with(|| Some(edits.clone()));
                            if slot.as_ref().is_some_and(|e| *e != edits) {
                                *slot = None;
                            }
                        }
                    }
                    Err(why) => found.broken.push(format!("{}: {why}", path.display())),
                }
            }
            for (name, edits) in here {
                match edits {
                    Some(edits) => _ = found.devices.insert(name, edits),
                    None => found.broken.push(format!(
                        "{}: several files describe {name} in different ways",
                        dir.display()
                    )),
                }
            }
        }
        found
    }

    fn edits(&self, names: &[String]) -> Result<Edits> {
        let unknown: Vec<&str> = names
            .iter()
            .filter(|n| !self.devices.contains_key(*n))
            .map(String::as_str)
            .collect();
        if !unknown.is_empty() {
            let mut text = format!(
                "CDI device injection failed: unresolvable CDI devices {}",
                unknown.join(", ")
            );
            for broken in &self.broken {
                text = format!("{text}; {broken}");
            }
            return Err(Error::Invalid(text));
        }
        let mut all = Edits::default();
        for edits in names.iter().filter_map(|n| self.devices.get(n)) {
            // What several devices of one file have in common comes once.
            let Edits {
                env,
                devices,
                mounts,
                hooks,
                gids,
            } = edits.clone();
            add(&mut all.env, env);
            add(&mut all.devices, devices);
            add(&mut all.mounts, mounts);
            add(&mut all.hooks, hooks);
            add(&mut all.gids, gids);
        }
        Ok(all)
    }
}

fn add<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}

/// The names of all devices that are described, sorted.
#[must_use]
pub fn discovered(dirs: &[PathBuf]) -> Vec<String> {
    Registry::read(dirs).devices.into_keys().collect()
}

/// What the devices that `host` asks for need.
pub(crate) fn resolve(dirs: &[PathBuf], host: &HostConfig) -> Result<Edits> {
    let requests = host.device_requests.as_deref().unwrap_or_default();
    if requests.is_empty() {
        return Ok(Edits::default());
    }
    let registry = Registry::read(dirs);
    let mut names = Vec::new();
    for request in requests {
        add(&mut names, wanted(request, &registry)?);
    }
    registry.edits(&names)
}

/// The full names of the devices that a request is for.
fn wanted(request: &DeviceRequest, registry: &Registry) -> Result<Vec<String>> {
    let ids = request.device_ids.as_deref().unwrap_or_default();
    if request.driver == "cdi" {
        if request.options.as_ref().is_some_and(|o| !o.is_empty()) {
            return Err(Error::Invalid("CDI device requests take no options".into()));
        }
        if let Some(bad) = ids.iter().find(|id| !file::is_qualified(id)) {
            return Err(Error::Invalid(format!(
                "CDI device injection failed: invalid device name {bad:?}: the form is \
                 vendor/class=name"
            )));
        }
        return Ok(ids.to_vec());
    }
    let capabilities = request.capabilities.as_deref().unwrap_or_default();
    let refused = || {
        let lists: Vec<String> = capabilities
            .iter()
            .map(|list| format!("[{}]", list.join(" ")))
            .collect();
        Error::Invalid(format!(
            "could not select device driver {:?} with capabilities: [{}]",
            request.driver,
            lists.join(" ")
        ))
    };
    let gpu = capabilities
        .iter()
        .any(|list| list.iter().any(|c| c == "gpu"));
    let prefix = format!("{GPUS}=");
    let described = registry
        .devices
        .keys()
        .filter(|name| name.starts_with(&prefix) && !name.ends_with("=all"))
        .count();
    let any = registry.devices.keys().any(|n| n.starts_with(&prefix));
    if !gpu || !any || !matches!(request.driver.as_str(), "" | "nvidia") {
        return Err(refused());
    }
    if !ids.is_empty() {
        return Ok(ids.iter().map(|id| format!("{prefix}{id}")).collect());
    }
    match usize::try_from(request.count) {
        Err(_) => Ok(vec![format!("{prefix}all")]),
        Ok(count) if count > described => Err(Error::Invalid(format!(
            "{count} devices of {GPUS} were asked for, and {described} are described"
        ))),
        Ok(count) => Ok((0..count).map(|n| format!("{prefix}{n}")).collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const JSON: &str = r#"{"cdiVersion": "0.6.0", "kind": "acme.com/toy",
        "devices": [
            {"name": "one", "containerEdits": {"env": ["ONE=1"],
                "deviceNodes": [{"path": "/dev/toy", "hostPath": "/dev/null", "permissions": "r"}]}},
            {"name": "two", "containerEdits": {"env": ["TWO=2"]}}],
        "containerEdits": {"env": ["TOY=yes"]}}"#;

    fn request(driver: &str, ids: &[&str], capability: &str) -> HostConfig {
        HostConfig {
            device_requests: Some(vec![DeviceRequest {
                driver: driver.into(),
                count: -1,
                device_ids: Some(ids.iter().map(|i| (*i).to_owned()).collect()),
                capabilities: Some(vec![vec![capability.into()]]),
                options: None,
            }]),
            ..HostConfig::default()
        }
    }

    #[test]
    fn devices_are_found_and_joined() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().join("absent"), dir.path().to_owned()];
        fs::write(dir.path().join("a.json"), JSON).unwrap();
        fs::write(
            dir.path().join("b.yaml"),
            "cdiVersion: \"0.5.0\"\nkind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits:\n    env:\n    - GPU=all\n",
        )
        .unwrap();
        fs::write(dir.path().join("c.json"), "{").unwrap();
        let names = ["acme.com/toy=one", "acme.com/toy=two", "nvidia.com/gpu=all"];
        assert_eq!(discovered(&dirs), names);
        let edits = resolve(&dirs, &request("cdi", &names[..2], "")).unwrap();
        assert_eq!(edits.env, ["TOY=yes", "ONE=1", "TWO=2"]);
        assert_eq!(edits.devices[0].host.as_deref(), Some("/dev/null"));
        let gpu = resolve(&dirs, &request("", &[], "gpu")).unwrap();
        assert_eq!(gpu.env, ["GPU=all"]);
        let error = |host: &HostConfig| resolve(&dirs, host).unwrap_err().to_string();
        let text = error(&request("cdi", &["acme.com/toy=three"], ""));
        assert!(
            text.contains("unresolvable CDI devices acme.com/toy=three"),
            "{text}"
        );
        assert!(text.contains("c.json"), "{text}");
        assert!(error(&request("cdi", &["toy"], "")).contains("vendor/class=name"));
        let text = error(&request("amd", &[], "gpu"));
        assert_eq!(
            text,
            "could not select device driver \"amd\" with capabilities: [[gpu]]"
        );
    }

    #[test]
    fn a_device_described_twice_in_one_place_is_not_to_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_owned()];
        fs::write(dir.path().join("a.json"), JSON).unwrap();
        fs::write(dir.path().join("b.json"), JSON.replace("ONE=1", "ONE=2")).unwrap();
        assert_eq!(discovered(&dirs), ["acme.com/toy=two"]);
    }
}
