//! What a device specification (CDI) asks to be added: by its own words, over everything else.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Hook, Hooks, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, Mount, Spec,
};

use super::devices;
use crate::Error;

/// What is to be added to a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Device nodes.
    pub devices: Vec<EditDevice>,
    /// Mounts.
    pub mounts: Vec<EditMount>,
    /// Programs that the runtime calls.
    pub hooks: Vec<EditHook>,
    /// Further groups.
    pub gids: Vec<u32>,
}

/// A device node; what is not given is as on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditDevice {
    /// Where it appears.
    pub path: String,
    /// Where it is on the host, if elsewhere.
    pub host: Option<String>,
    /// `c`, `b` or `p`.
    pub kind: Option<char>,
    /// Its numbers.
    pub number: Option<(i64, i64)>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// `rwm`, or part of it.
    pub access: String,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

/// A mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditMount {
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub destination: String,
    /// The file system's; a bind mount's options by themselves mean one.
    pub kind: String,
    /// Its options.
    pub options: Vec<String>,
}

/// A program that the runtime calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditHook {
    /// `createContainer` …
    pub stage: String,
    /// The program.
    pub path: String,
    /// Its arguments, its own name among them.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Vec<String>,
    /// Seconds that it may take.
    pub timeout: Option<i64>,
}

/// Adds `edits` to a finished configuration.
pub(super) fn apply(edits: &Edits, spec: &mut Spec) -> Result<(), Error> {
    if *edits == Edits::default() {
        return Ok(());
    }
    if let Some(process) = spec.process_mut() {
        let mut env = process.env().clone().unwrap_or_default();
        for pair in &edits.env {
            let name = pair.split('=').next().unwrap_or_default();
            env.retain(|e| e.split('=').next() != Some(name));
            env.push(pair.clone());
        }
        process.set_env(Some(env));
        let mut user = process.user().clone();
        let mut gids = user.additional_gids().clone().unwrap_or_default();
        for gid in &edits.gids {
            if !gids.contains(gid) {
                gids.push(*gid);
            }
        }
        user.set_additional_gids((!gids.is_empty()).then_some(gids));
        process.set_user(user);
    }
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    for mount in &edits.mounts {
        mounts.retain(|m| m.destination() != Path::new(&mount.destination));
        mounts.push(oci_mount(mount));
    }
    spec.set_mounts(Some(mounts));
    if let Some(linux) = spec.linux_mut() {
        let mut nodes = linux.devices().clone().unwrap_or_default();
        let mut resources = linux.resources().clone().unwrap_or_default();
        let mut rules = resources.devices().clone().unwrap_or_default();
        for device in &edits.devices {
            let (node, rule) = oci_device(device)?;
            nodes.retain(|n| n.path() != node.path());
            nodes.push(node);
            rules.extend(rule);
        }
        resources.set_devices(Some(rules));
        linux.set_resources(Some(resources));
        linux.set_devices(Some(nodes));
    }
    let mut hooks = spec.hooks().clone().unwrap_or_default();
    for hook in &edits.hooks {
        add_hook(&mut hooks, hook)?;
    }
    spec.set_hooks((hooks != Hooks::default()).then_some(hooks));
    Ok(())
}

fn oci_mount(mount: &EditMount) -> Mount {
    let mut out = Mount::default();
    out.set_destination(mount.destination.clone().into());
    out.set_source(Some(mount.source.clone().into()));
    let kind = if mount.kind.is_empty() {
        "bind"
    } else {
        &mount.kind
    };
    let mut options = mount.options.clone();
    if kind == "bind" && !options.iter().any(|o| o == "bind" || o == "rbind") {
        options.insert(0, "rbind".to_owned());
    }
    out.set_typ(Some(kind.to_owned()));
    out.set_options(Some(options));
    out
}

fn oci_device(device: &EditDevice) -> Result<(LinuxDevice, Option<LinuxDeviceCgroup>), Error> {
    let host = device.host.as_deref().unwrap_or(&device.path);
    let inside = PathBuf::from(&device.path);
    let mut node = match (device.kind, device.number) {
        (Some('p'), _) => {
            let mut node = LinuxDevice::default();
            node.set_path(inside);
            node.set_typ(LinuxDeviceType::P);
            node
        }
        (Some(kind), Some((major, minor))) => {
            let mut node = LinuxDevice::default();
            node.set_path(inside);
            node.set_typ(if kind == 'b' {
                LinuxDeviceType::B
            } else {
                LinuxDeviceType::C
            });
            node.set_major(major);
            node.set_minor(minor);
            node
        }
        _ => devices::node(Path::new(host), inside).ok_or_else(|| {
            Error::Invalid(format!(
                "CDI device injection failed: {host} is not a device node of this host"
            ))
        })?,
    };
    if device.mode.is_some() {
        node.set_file_mode(device.mode);
    }
    if device.uid.is_some() {
        node.set_uid(device.uid);
    }
    if device.gid.is_some() {
        node.set_gid(device.gid);
    }
    let access = if device.access.is_empty() {
        "rwm"
    } else {
        &device.access
    };
    // A pipe is no matter of the device cgroup.
    let rule = (node.typ() != LinuxDeviceType::P).then(|| {
        let (major, minor) = (Some(node.major()), Some(node.minor()));
        devices::rule(true, Some(node.typ()), major, minor, access)
    });
    Ok((node, rule))
}

fn add_hook(hooks: &mut Hooks, hook: &EditHook) -> Result<(), Error> {
    let mut out = Hook::default();
    out.set_path(hook.path.clone().into());
    out.set_args((!hook.args.is_empty()).then(|| hook.args.clone()));
    out.set_env((!hook.env.is_empty()).then(|| hook.env.clone()));
    out.set_timeout(hook.timeout);
    let with = |all: &Option<Vec<Hook>>| {
        let mut all = all.clone().unwrap_or_default();
        all.push(out.clone());
        Some(all)
    };
    match hook.stage.as_str() {
        "prestart" => {
            let all = with(hooks.prestart());
            hooks.set_prestart(all);
        }
        "createRuntime" => {
            let all = with(hooks.create_runtime());
            hooks.set_create_runtime(all);
        }
        "createContainer" => {
            let all = with(hooks.create_container());
            hooks.set_create_container(all);
        }
        "startContainer" => {
            let all = with(hooks.start_container());
            hooks.set_start_container(all);
        }
        "poststart" => {
            let all = with(hooks.poststart());
            hooks.set_poststart(all);
        }
        "poststop" => {
            let all = with(hooks.poststop());
            hooks.set_poststop(all);
        }
        other => {
            return Err(Error::Invalid(format!(
                "CDI device injection failed: unknown hook {other:?}"
            )));
        }
    }
    Ok(())
}
