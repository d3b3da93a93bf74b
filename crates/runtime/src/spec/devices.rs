//! Devices of the host that a container may see, and the rules of its device cgroup.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

use super::{ContainerSpec, Device};
use crate::Error;

/// Directories and files of `/dev` that belong to the host only, or are made for each container.
const NOT_DEVICES: [&str; 8] = [
    "pts",
    "shm",
    "fd",
    "mqueue",
    ".lxc",
    ".lxd-mounts",
    ".udev",
    "console",
];

/// The devices to make, and the cgroup's rules.
pub(super) fn devices(
    spec: &ContainerSpec,
) -> Result<(Vec<LinuxDevice>, Vec<LinuxDeviceCgroup>), Error> {
    let mut found = Vec::new();
    let mut rules = Vec::new();
    if spec.privileged {
        walk(Path::new("/dev"), Path::new("/dev"), &mut found);
        rules.push(rule(true, None, None, None, "rwm"));
    } else {
        rules.push(rule(false, None, None, None, "rwm"));
        // zero, null, random, urandom, tty and console; the runtime adds what it makes itself.
        for (major, minor) in [(1, 5), (1, 3), (1, 8), (1, 9), (5, 0), (5, 1)] {
            rules.push(rule(
                true,
                Some(LinuxDeviceType::C),
                Some(major),
                Some(minor),
                "rwm",
            ));
        }
    }
    for device in &spec.devices {
        add(device, &mut found, &mut rules)?;
    }
    for text in &spec.device_cgroup_rules {
        rules.push(parse_rule(text)?);
    }
    Ok((found, rules))
}

pub(super) fn rule(
    allow: bool,
    typ: Option<LinuxDeviceType>,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow);
    rule.set_typ(typ);
    rule.set_major(major);
    rule.set_minor(minor);
    rule.set_access(Some(access.to_owned()));
    rule
}

fn add(
    device: &Device,
    found: &mut Vec<LinuxDevice>,
    rules: &mut Vec<LinuxDeviceCgroup>,
) -> Result<(), Error> {
    let access = if device.permissions.is_empty() {
        "rwm"
    } else {
        &device.permissions
    };
    if !access.bytes().all(|b| b"rwm".contains(&b)) {
        return Err(Error::Invalid(format!(
            "invalid device permissions {access:?}: they are made of r, w and m"
        )));
    }
    let about = |e: io::Error| {
        let reason = match e.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => e.to_string(),
        };
        Error::Invalid(format!(
            "error gathering device information while adding custom device {:?}: {reason}",
            device.host
        ))
    };
    let real = fs::canonicalize(&device.host).map_err(about)?;
    let inside = if device.container.is_empty() {
        &device.host
    } else {
        &device.container
    };
    let before = found.len();
    if real.is_dir() {
        walk(&real, Path::new(inside), found);
    } else {
        found.extend(node(&real, inside.into()));
    }
    if found.len() == before {
        return Err(about(io::Error::other("not a device node")));
    }
    for device in &found[before..] {
        let (major, minor) = (Some(device.major()), Some(device.minor()));
        rules.push(rule(true, Some(device.typ()), major, minor, access));
    }
    Ok(())
}

/// The device at a path, to appear at another; `None` if it is none.
pub(super) fn node(path: &Path, inside: PathBuf) -> Option<LinuxDevice> {
    let meta = fs::metadata(path).ok()?;
    let typ = match meta.file_type() {
        t if t.is_char_device() => LinuxDeviceType::C,
        t if t.is_block_device() => LinuxDeviceType::B,
        _ => return None,
    };
    let number = meta.rdev();
    let mut device = LinuxDevice::default();
    device.set_path(inside);
    device.set_typ(typ);
    device.set_major(rustix::fs::major(number).into());
    device.set_minor(rustix::fs::minor(number).into());
    device.set_file_mode(Some(meta.mode() & 0o777));
    device.set_uid(Some(meta.uid()));
    device.set_gid(Some(meta.gid()));
    Some(device)
}

fn walk(dir: &Path, inside: &Path, found: &mut Vec<LinuxDevice>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if NOT_DEVICES.iter().any(|n| name == *n) {
            continue;
        }
        match entry.file_type() {
            Ok(t) if t.is_dir() => walk(&entry.path(), &inside.join(&name), found),
            // What a link points at comes by its own name.
            Ok(t) if t.is_symlink() => {}
            Ok(_) => found.extend(node(&entry.path(), inside.join(&name))),
            Err(_) => {}
        }
    }
}

/// `c 1:3 rwm`, where numbers may be `*`.
fn parse_rule(text: &str) -> Result<LinuxDeviceCgroup, Error> {
    let parse = || {
        let mut parts = text.split(' ');
        let (typ, numbers, access) = (parts.next()?, parts.next()?, parts.next()?);
        let typ = match typ {
            "a" => LinuxDeviceType::A,
            "b" => LinuxDeviceType::B,
            "c" => LinuxDeviceType::C,
            _ => return None,
        };
        let (major, minor) = numbers.split_once(':')?;
        let number = |n: &str| {
            if n == "*" {
                Some(None)
            } else {
                n.parse().ok().map(Some)
            }
        };
        let valid = parts.next().is_none()
            && (1..=3).contains(&access.len())
            && access.bytes().all(|b| b"rwm".contains(&b));
        valid.then_some(rule(
            true,
            Some(typ),
            number(major)?,
            number(minor)?,
            access,
        ))
    };
    parse().ok_or_else(|| Error::Invalid(format!("invalid device cgroup rule format: '{text}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let r = parse_rule("c 1:* rm").unwrap();
        assert_eq!((r.allow(), r.major(), r.minor()), (true, Some(1), None));
        for bad in [
            "",
            "c 1:3",
            "x 1:3 r",
            "c 1 r",
            "c 1:3 rx",
            "c 1:3 r w",
            "c a:3 r",
            "c 1:3 ",
        ] {
            assert!(parse_rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn devices_of_the_host() {
        let device = |host: &str| ContainerSpec {
            devices: vec![Device {
                host: host.to_owned(),
                container: "/dev/mine".to_owned(),
                permissions: "r".to_owned(),
            }],
            ..ContainerSpec::default()
        };
        let (found, rules) = devices(&device("/dev/null")).unwrap();
        assert_eq!((found[0].major(), found[0].minor()), (1, 3));
        assert_eq!(found[0].path(), Path::new("/dev/mine"));
        assert_eq!(rules.last().unwrap().access().as_deref(), Some("r"));
        let error = devices(&device("/dev/none")).unwrap_err().to_string();
        assert!(error.contains("no such file or directory"), "{error}");
        assert!(devices(&device("/etc/passwd")).is_err());
        let all = ContainerSpec {
            privileged: true,
            ..ContainerSpec::default()
        };
        let (found, rules) = devices(&all).unwrap();
        assert!(found.iter().any(|d| d.path() == Path::new("/dev/null")));
        assert_eq!(rules.len(), 1);
    }
}
