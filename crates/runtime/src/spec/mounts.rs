//! What is mounted in a container: Docker's defaults, then what the user wants.

use oci_spec::runtime::Mount;

use super::{ContainerSpec, INIT_PATH, Namespace, Shm, Tmpfs};
use crate::Error;

fn mount(destination: &str, typ: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(destination.into());
    mount.set_typ(Some(typ.to_owned()));
    mount.set_source(Some(source.into()));
    mount.set_options(Some(options.iter().map(|o| (*o).to_owned()).collect()));
    mount
}

/// All mounts, in the order in which they are made: parents before what lies in them.
pub(super) fn mounts(spec: &ContainerSpec) -> Result<Vec<Mount>, Error> {
    let mut wanted = Vec::new();
    for bind in &spec.mounts {
        for (what, path) in [("source", &bind.source), ("destination", &bind.destination)] {
            if !path.starts_with('/') {
                return Err(Error::Invalid(format!(
                    "invalid mount config: the {what} {path:?} must be an absolute path"
                )));
            }
        }
        let mut options = vec![
            if bind.recursive { "rbind" } else { "bind" },
            if bind.readonly { "ro" } else { "rw" },
            if bind.propagation.is_empty() {
                "rprivate"
            } else {
                &bind.propagation
            },
        ];
        if bind.readonly_below && bind.recursive {
            options.push("rro");
        }
        wanted.push(mount(&bind.destination, "bind", &bind.source, &options));
    }
    for tmpfs in &spec.tmpfs {
        let options = tmpfs_options(tmpfs)?;
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        wanted.push(mount(&tmpfs.destination, "tmpfs", "tmpfs", &options));
    }
    if let Some(init) = &spec.init {
        wanted.push(mount(INIT_PATH, "bind", init, &["bind", "ro", "rprivate"]));
    }
    if let Some(shm) = shm(spec) {
        wanted.push(shm);
    }

    // Whoever mounts over a default takes its place, and over /dev that of all below it.
    let is_wanted = |path: &str| wanted.iter().any(|m| m.destination().as_os_str() == path);
    let own_dev = is_wanted("/dev");
    let mut all: Vec<Mount> = defaults(spec)
        .into_iter()
        .filter(|m| {
            let path = m.destination().to_str().unwrap_or_default();
            !(is_wanted(path) || own_dev && path.starts_with("/dev/"))
        })
        .collect();
    // Stable: what is equally deep keeps its order.
    wanted.sort_by_key(|m| m.destination().components().count());
    all.extend(wanted);
    Ok(all)
}

fn defaults(spec: &ContainerSpec) -> Vec<Mount> {
    let access = if spec.privileged && !spec.readonly_rootfs {
        "rw"
    } else {
        "ro"
    };
    let cgroup_access = match spec.writable_cgroups {
        Some(true) => "rw",
        Some(false) => "ro",
        None => access,
    };
    let mqueue = match spec.ipc {
        // The host's queues are shown by any mount of them, but another user namespace cannot
        // make one.
        Namespace::Host if spec.user_namespace.is_some() => {
            mount("/dev/mqueue", "bind", "/dev/mqueue", &["rbind", "rprivate"])
        }
        _ => mount(
            "/dev/mqueue",
            "mqueue",
            "mqueue",
            &["nosuid", "noexec", "nodev"],
        ),
    };
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        // A network namespace that is not the user's own cannot show its /sys, but the host's can.
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", access],
        ),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", cgroup_access],
        ),
        mqueue,
    ]
}

fn shm(spec: &ContainerSpec) -> Option<Mount> {
    // The user's own comes instead.
    let taken = spec.mounts.iter().map(|m| &m.destination);
    if taken
        .chain(spec.tmpfs.iter().map(|t| &t.destination))
        .any(|d| d == "/dev/shm")
    {
        return None;
    }
    match &spec.shm {
        Shm::Own(size) => {
            let size = format!("size={size}");
            let options = ["nosuid", "noexec", "nodev", "mode=1777", &size];
            Some(mount("/dev/shm", "tmpfs", "shm", &options))
        }
        Shm::Bind(source) => Some(mount("/dev/shm", "bind", source, &["rbind", "rprivate"])),
        Shm::None => None,
    }
}

/// Docker's defaults, with the user's options over them: of two that contradict, the last counts.
fn tmpfs_options(tmpfs: &Tmpfs) -> Result<Vec<String>, Error> {
    if !tmpfs.destination.starts_with('/') {
        return Err(Error::Invalid(format!(
            "invalid mount config for type \"tmpfs\": the path {:?} must be absolute",
            tmpfs.destination
        )));
    }
    let mut options: Vec<&str> = vec!["noexec", "nosuid", "nodev", "rprivate"];
    for option in tmpfs.options.split(',').filter(|o| !o.is_empty()) {
        let subject = subject(option)
            .ok_or_else(|| Error::Invalid(format!("Invalid tmpfs option {option:?}")))?;
        options.retain(|o| self::subject(o) != Some(subject));
        options.push(option);
    }
    Ok(options.into_iter().map(str::to_owned).collect())
}

/// What an option is about; `None` if tmpfs does not have it.
fn subject(option: &str) -> Option<&str> {
    Some(match option {
        "exec" | "noexec" => "exec",
        "suid" | "nosuid" => "suid",
        "dev" | "nodev" => "dev",
        "ro" | "rw" => "write",
        "sync" | "async" => "sync",
        "mand" | "nomand" => "mand",
        "dirsync" => "dirsync",
        "diratime" | "nodiratime" => "diratime",
        "atime" | "noatime" | "relatime" | "norelatime" | "strictatime" | "nostrictatime" => {
            "atime"
        }
        "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" | "unbindable"
        | "runbindable" => "propagation",
        "defaults" => "defaults",
        _ => {
            let (key, value) = option.split_once('=')?;
            let known = [
                "size",
                "mode",
                "uid",
                "gid",
                "nr_inodes",
                "nr_blocks",
                "mpol",
            ];
            return known.into_iter().find(|k| *k == key && !value.is_empty());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<Vec<String>, Error> {
        tmpfs_options(&Tmpfs {
            destination: "/x".to_owned(),
            options: text.to_owned(),
        })
    }

    #[test]
    fn tmpfs() {
        assert_eq!(
            options("").unwrap(),
            ["noexec", "nosuid", "nodev", "rprivate"]
        );
        assert_eq!(
            options("size=1m,exec,mode=700,size=2m").unwrap(),
            ["nosuid", "nodev", "rprivate", "exec", "mode=700", "size=2m"]
        );
        for bad in ["fly", "size", "size=", "lowerdir=/etc", "context=x"] {
            assert!(options(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
    }
}
