//! Which of the kernel's settings are a container's own.

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt};

use oci_spec::runtime::{LinuxNamespaceType as Kind, Spec};

use super::{
    super::{Error, Result},
    linux, no_nul,
};

/// System V IPC's.
const IPC: [&str; 8] = [
    "msgmax",
    "msgmnb",
    "msgmni",
    "sem",
    "shmall",
    "shmmax",
    "shmmni",
    "shm_rmid_forced",
];

/// The path below `/proc/sys` of a setting: as `sysctl` reads names, the first separator, `.` or `/`,
/// is the one that separates, and the other stands for itself (`net/ipv4/conf/eth0.5/mtu`). `None`
/// if that would lead elsewhere.
pub fn path(name: &str) -> Option<String> {
    let first = name.find(['.', '/'])?;
    let path = if name.get(first..)?.starts_with('.') {
        let swap = |c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        name.chars().map(swap).collect()
    } else {
        name.to_owned()
    };
    let good = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    path.split('/').all(good).then_some(path)
}

fn refuse(name: &str, problem: &str) -> Error {
    Error::config(format!("linux.sysctl[{name:?}]"), problem)
}

pub(super) fn check(settings: &HashMap<String, String>, spec: &Spec) -> Result<()> {
    for (name, value) in settings {
        no_nul(|| format!("linux.sysctl[{name:?}]"), value.as_bytes())?;
        let Some(path) = path(name) else {
            return Err(refuse(name, "is no name such as \"net.ipv4.ip_forward\""));
        };
        let needs = match path.split_once('/') {
            Some(("net", _)) => (
                Kind::Network,
                "is not allowed in the host's network namespace",
            ),
            Some(("fs", rest)) if rest.starts_with("mqueue/") => {
                (Kind::Ipc, "is not allowed in the host's ipc namespace")
            }
            Some(("kernel", rest)) if IPC.contains(&rest) => {
                (Kind::Ipc, "is not allowed in the host's ipc namespace")
            }
            Some(("kernel", "domainname")) => {
                (Kind::Uts, "is not allowed in the host's uts namespace")
            }
            Some(("kernel", "hostname")) => {
                return Err(refuse(
                    name,
                    "is not allowed as it conflicts with the member \"hostname\"",
                ));
            }
            _ => return Err(refuse(name, "is not in a separate kernel namespace")),
        };
        if linux::namespace(spec, needs.0).is_none() {
            return Err(refuse(name, needs.1));
        }
    }
    Ok(())
}

/// A network namespace that is joined must not be this program's own.
pub(super) fn not_of_host_network(spec: &Spec) -> Result<()> {
    let settings = spec.linux().as_ref().and_then(|l| l.sysctl().as_ref());
    let mut names = settings.iter().flat_map(|s| s.keys());
    let Some(name) = names.find(|n| path(n).is_some_and(|p| p.starts_with("net/"))) else {
        return Ok(());
    };
    let joined = linux::namespace(spec, Kind::Network).and_then(|n| n.path().as_ref());
    let Some(joined) = joined.filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    let look = |path: &std::path::Path| {
        fs::metadata(path)
            .map(|found| (found.dev(), found.ino()))
            .map_err(|e| {
                Error::config(
                    "linux.namespaces",
                    format!("the network namespace {}: {e}", path.display()),
                )
            })
    };
    if look(joined)? == look("/proc/self/ns/net".as_ref())? {
        return Err(refuse(
            name,
            "is not allowed in the host's network namespace",
        ));
    }
    Ok(())
}
