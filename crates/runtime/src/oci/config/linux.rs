//! `linux`: namespaces and what depends on them, devices, and the rest.

use std::path::{Component, Path};

use oci_spec::runtime::{
    Linux, LinuxDevice, LinuxDeviceType, LinuxNamespace, LinuxNamespaceType as Kind, Spec,
};

use super::{
    super::{Error, Result, seccomp},
    absolute, mappings, no_nul, resources, sysctl,
};

/// The kernel's numbers of devices have 12 and 20 bits.
const MAX_MAJOR: i64 = (1 << 12) - 1;
const MAX_MINOR: i64 = (1 << 20) - 1;

/// The namespace of a kind that the container has of its own, or joins.
pub(super) fn namespace(spec: &Spec, kind: Kind) -> Option<&LinuxNamespace> {
    let list = spec.linux().as_ref()?.namespaces().as_ref()?;
    list.iter().find(|n| n.typ() == kind)
}

pub(super) fn has_user_namespace(spec: &Spec) -> bool {
    namespace(spec, Kind::User).is_some()
}

pub(super) fn check(spec: &Spec, warnings: &mut Vec<String>) -> Result<()> {
    let Some(linux) = spec.linux() else {
        return Err(Error::config("linux", "is missing"));
    };
    for (name, there) in [
        ("intelRdt", linux.intel_rdt().is_some()),
        ("memoryPolicy", linux.memory_policy().is_some()),
        (
            "netDevices",
            linux.net_devices().iter().flatten().next().is_some(),
        ),
    ] {
        if there {
            return Err(Error::config(
                format!("linux.{name}"),
                "is not supported by this runtime",
            ));
        }
    }
    namespaces(spec, linux)?;
    id_mappings(spec, linux)?;
    time_offsets(spec, linux)?;
    if let Some(settings) = linux.sysctl() {
        sysctl::check(settings, spec)?;
    }
    for (i, one) in linux.devices().iter().flatten().enumerate() {
        device(&format!("linux.devices[{i}]"), one)?;
    }
    for (name, list) in [
        ("maskedPaths", linux.masked_paths()),
        ("readonlyPaths", linux.readonly_paths()),
    ] {
        for (i, path) in list.iter().flatten().enumerate() {
            absolute(|| format!("linux.{name}[{i}]"), Path::new(path))?;
        }
    }
    if let Some(kind) = linux.rootfs_propagation()
        && !matches!(
            kind.as_str(),
            "" | "shared"
                | "slave"
                | "private"
                | "unbindable"
                | "rshared"
                | "rslave"
                | "rprivate"
                | "runbindable"
        )
    {
        return Err(Error::config(
            "linux.rootfsPropagation",
            format!("{kind:?} is none of shared, slave, private, unbindable, and these with r"),
        ));
    }
    let label = linux.mount_label().as_deref().unwrap_or_default();
    no_nul(|| "linux.mountLabel".to_owned(), label.as_bytes())?;
    if let Some(path) = linux.cgroups_path() {
        let field = || "linux.cgroupsPath".to_owned();
        no_nul(field, path.as_os_str().as_encoded_bytes())?;
        if path.components().any(|c| c == Component::ParentDir) {
            return Err(Error::config(field(), "must not have \"..\" in it"));
        }
    }
    if let Some(personality) = linux.personality()
        && let Some(flag) = personality.flags().iter().flatten().next()
    {
        return Err(Error::config(
            "linux.personality.flags",
            format!("{flag:?} is not supported: the specification has none yet"),
        ));
    }
    if let Some(of) = linux.resources() {
        resources::check(of, warnings)?;
    }
    if let Some(of) = linux.seccomp() {
        warnings.extend(seccomp::check(of)?);
    }
    Ok(())
}

fn namespaces(spec: &Spec, linux: &Linux) -> Result<()> {
    let list = linux.namespaces().as_deref().unwrap_or_default();
    for (i, one) in list.iter().enumerate() {
        if list[..i].iter().any(|other| other.typ() == one.typ()) {
            return Err(Error::config(
                format!("linux.namespaces[{i}].type"),
                format!("{} is there twice", one.typ()),
            ));
        }
        // As runc, an empty path is none.
        if let Some(path) = one.path().as_ref().filter(|p| !p.as_os_str().is_empty()) {
            absolute(|| format!("linux.namespaces[{i}].path"), path)?;
        }
    }
    let mount = list.iter().position(|n| n.typ() == Kind::Mount);
    if let Some(i) = mount
        && list[i]
            .path()
            .as_ref()
            .is_some_and(|p| !p.as_os_str().is_empty())
    {
        return Err(Error::config(
            format!("linux.namespaces[{i}].path"),
            "a mount namespace cannot be joined: the container's mounts would be made in it",
        ));
    }
    if namespace(spec, Kind::Mount).is_none() {
        return Err(Error::config(
            "linux.namespaces",
            "has no mount namespace: what the container mounts would be mounted on the host",
        ));
    }
    for (name, text) in [
        ("hostname", spec.hostname()),
        ("domainname", spec.domainname()),
    ] {
        let text = text.as_deref().unwrap_or_default();
        no_nul(|| name.to_owned(), text.as_bytes())?;
        if text.is_empty() {
            continue;
        }
        if namespace(spec, Kind::Uts).is_none() {
            return Err(Error::config(
                name,
                format!("unable to set {name} without a private UTS namespace"),
            ));
        }
        if text.len() > 64 {
            return Err(Error::config(
                name,
                format!("{} characters are more than 64", text.len()),
            ));
        }
    }
    Ok(())
}

fn joined(spec: &Spec, kind: Kind) -> bool {
    let path = namespace(spec, kind).and_then(|n| n.path().as_ref());
    path.is_some_and(|p| !p.as_os_str().is_empty())
}

fn id_mappings(spec: &Spec, linux: &Linux) -> Result<()> {
    for (name, list) in [
        ("linux.uidMappings", linux.uid_mappings()),
        ("linux.gidMappings", linux.gid_mappings()),
    ] {
        let list = list.as_deref().unwrap_or_default();
        if has_user_namespace(spec) {
            if list.is_empty() && !joined(spec, Kind::User) {
                return Err(Error::config(
                    name,
                    "is missing: a new user namespace needs mappings",
                ));
            }
        } else if !list.is_empty() {
            return Err(Error::config(
                name,
                "there is no user namespace in linux.namespaces",
            ));
        }
        mappings::check(name, list)?;
    }
    Ok(())
}

fn time_offsets(spec: &Spec, linux: &Linux) -> Result<()> {
    let Some(offsets) = linux.time_offsets().as_ref().filter(|o| !o.is_empty()) else {
        return Ok(());
    };
    if namespace(spec, Kind::Time).is_none() {
        return Err(Error::config(
            "linux.timeOffsets",
            "there is no time namespace in linux.namespaces",
        ));
    }
    if joined(spec, Kind::Time) {
        return Err(Error::config(
            "linux.timeOffsets",
            "the clocks of a time namespace that is joined cannot be set",
        ));
    }
    for (clock, offset) in offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(Error::config(
                "linux.timeOffsets",
                format!("{clock:?} is neither monotonic nor boottime"),
            ));
        }
        if offset.nanosecs() >= Some(1_000_000_000) {
            return Err(Error::config(
                format!("linux.timeOffsets.{clock}.nanosecs"),
                "is a second or more",
            ));
        }
    }
    Ok(())
}

fn device(at: &str, device: &LinuxDevice) -> Result<()> {
    absolute(|| format!("{at}.path"), device.path())?;
    match device.typ() {
        LinuxDeviceType::A => {
            return Err(Error::config(
                format!("{at}.type"),
                "a is for rules, not for a device: c, u, b and p are",
            ));
        }
        // A pipe has no numbers.
        LinuxDeviceType::P => return Ok(()),
        LinuxDeviceType::B | LinuxDeviceType::C | LinuxDeviceType::U => {}
    }
    for (name, number, most) in [
        ("major", device.major(), MAX_MAJOR),
        ("minor", device.minor(), MAX_MINOR),
    ] {
        if !(0..=most).contains(&number) {
            return Err(Error::config(
                format!("{at}.{name}"),
                format!("{number} is not between 0 and {most}"),
            ));
        }
    }
    Ok(())
}
