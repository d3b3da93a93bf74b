//! One specification of devices.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use runtime::spec::{EditDevice, EditHook, EditMount, Edits};
use serde::Deserialize;

/// Nothing that describes devices is larger.
const LIMIT: u64 = 4 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    cdi_version: String,
    kind: String,
    devices: Vec<Device>,
    #[serde(default)]
    container_edits: Body,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    #[serde(default)]
    container_edits: Body,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Body {
    env: Vec<String>,
    device_nodes: Vec<Node>,
    mounts: Vec<Mount>,
    hooks: Vec<Hook>,
    additional_gids: Vec<u32>,
    // Wharf cannot give these: who needs them is told so.
    intel_rdt: Option<serde_json::Value>,
    net_devices: Vec<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Node {
    path: String,
    host_path: String,
    #[serde(rename = "type")]
    kind: String,
    major: i64,
    minor: i64,
    file_mode: Option<u32>,
    permissions: String,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Mount {
    host_path: String,
    container_path: String,
    options: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Hook {
    hook_name: String,
    path: String,
    args: Vec<String>,
    env: Vec<String>,
    timeout: Option<i64>,
}

/// The specifications in a directory, sorted; none where it is not there.
pub(super) fn specifications(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries
        .map(|e| e.path())
        .filter(|p| {
            let kind = p.extension().and_then(|e| e.to_str());
            matches!(kind, Some("json" | "yaml" | "yml"))
        })
        .collect();
    all.sort();
    all
}

/// The devices that a file describes, by their full names.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Edits>, String> {
    let size = fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > LIMIT {
        return Err(format!("larger than {LIMIT} bytes"));
    }
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let file: File = if path.extension().is_some_and(|e| e == "json") {
        serde_json::from_str(&text).map_err(|e| e.to_string())?
    } else {
        serde_saphyr::from_str(&text).map_err(|e| e.to_string())?
    };
    if !file.cdi_version.starts_with("0.") && !file.cdi_version.starts_with("1.") {
        return Err(format!("cdiVersion {:?} is not known", file.cdi_version));
    }
    let mut all = BTreeMap::new();
    for device in file.devices {
        let name = format!("{}={}", file.kind, device.name);
        if !is_qualified(&name) {
            return Err(format!("{name:?} is no name of a device"));
        }
        let mut edits = edits(&file.container_edits).map_err(|e| format!("{name}: {e}"))?;
        let own = self::edits(&device.container_edits).map_err(|e| format!("{name}: {e}"))?;
        edits.env.extend(own.env);
        edits.devices.extend(own.devices);
        edits.mounts.extend(own.mounts);
        edits.hooks.extend(own.hooks);
        edits.gids.extend(own.gids);
        if all.insert(name.clone(), edits).is_some() {
            return Err(format!("{name} is described twice"));
        }
    }
    Ok(all)
}

fn edits(body: &Body) -> Result<Edits, String> {
    if body.intel_rdt.is_some() {
        return Err("containerEdits.intelRdt is not supported".into());
    }
    if !body.net_devices.is_empty() {
        return Err("containerEdits.netDevices is not supported".into());
    }
    if let Some(bad) = body
        .env
        .iter()
        .find(|e| !e.contains('=') || e.starts_with('='))
    {
        return Err(format!("containerEdits.env: {bad:?} is not NAME=value"));
    }
    Ok(Edits {
        env: body.env.clone(),
        devices: body
            .device_nodes
            .iter()
            .map(node)
            .collect::<Result<_, _>>()?,
        mounts: body
            .mounts
            .iter()
            .map(|m| EditMount {
                source: m.host_path.clone(),
                destination: m.container_path.clone(),
                kind: m.kind.clone(),
                options: m.options.clone(),
            })
            .map(|m| {
                let whole = m.source.starts_with('/') && m.destination.starts_with('/');
                let why = || format!("containerEdits.mounts: {:?} is not absolute", m.destination);
                if whole { Ok(m) } else { Err(why()) }
            })
            .collect::<Result<_, _>>()?,
        hooks: body
            .hooks
            .iter()
            .map(|h| EditHook {
                stage: h.hook_name.clone(),
                path: h.path.clone(),
                args: h.args.clone(),
                env: h.env.clone(),
                timeout: h.timeout,
            })
            .collect(),
        gids: body.additional_gids.clone(),
    })
}

fn node(node: &Node) -> Result<EditDevice, String> {
    if !node.path.starts_with('/') {
        return Err(format!(
            "containerEdits.deviceNodes: {:?} is not absolute",
            node.path
        ));
    }
    let kind = match node.kind.as_str() {
        "" => None,
        "c" | "u" => Some('c'),
        "b" => Some('b'),
        "p" => Some('p'),
        other => {
            return Err(format!(
                "containerEdits.deviceNodes.type: {other:?} is not known"
            ));
        }
    };
    if !node.permissions.bytes().all(|b| b"rwm".contains(&b)) {
        return Err(format!(
            "containerEdits.deviceNodes.permissions: {:?} is not made of r, w and m",
            node.permissions
        ));
    }
    Ok(EditDevice {
        path: node.path.clone(),
        host: Some(node.host_path.clone()).filter(|p| !p.is_empty()),
        kind,
        number: (node.major != 0 || node.minor != 0).then_some((node.major, node.minor)),
        mode: node.file_mode,
        access: node.permissions.clone(),
        uid: node.uid,
        gid: node.gid,
    })
}

/// `vendor/class=name`.
pub(super) fn is_qualified(name: &str) -> bool {
    let part = |text: &str, also: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
        text.chars().all(inner)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    name.split_once('=').is_some_and(|(kind, device)| {
        part(device, "_-.:")
            && kind.split_once('/').is_some_and(|(vendor, class)| {
                part(vendor, "_-.") && part(class, "_-.") && !vendor.starts_with(char::is_numeric)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::is_qualified;

    #[test]
    fn names() {
        for good in [
            "vendor.com/class=dev",
            "a/b=0",
            "nvidia.com/gpu=GPU-1:2.x_y",
        ] {
            assert!(is_qualified(good), "{good}");
        }
        for bad in [
            "",
            "a=b",
            "a/b",
            "/b=c",
            "a/=c",
            "a/b=",
            "../b=c",
            "a/b=c/d",
            "/dev/null",
        ] {
            assert!(!is_qualified(bad), "{bad}");
        }
    }
}
