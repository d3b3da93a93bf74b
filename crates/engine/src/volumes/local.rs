//! The local driver's options: what is mounted on a volume's directory while somebody uses it.
//!
//! The options are mount(8)'s: `type`, `device` and `o`. The kernel mounts, no program is called:
//! what a helper such as `mount.nfs` would find out (an address for a name) is found out here.

use std::{
    collections::BTreeMap,
    ffi::CString,
    io,
    net::{IpAddr, ToSocketAddrs},
    path::Path,
};

use rustix::{
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, UnmountFlags},
};

use crate::{
    error::{Error, Result},
    mount_table,
};

/// What the driver knows.
const OPTIONS: [&str; 4] = ["device", "o", "size", "type"];

/// Each option, and what it needs.
const NEEDS: [(&str, &[&str]); 3] = [
    ("device", &["type"]),
    ("o", &["device", "type"]),
    ("type", &["device"]),
];

/// Refuses options that make no volume, in Docker's words.
pub(crate) fn check(options: &BTreeMap<String, String>) -> std::result::Result<(), String> {
    if let Some(name) = options.keys().find(|n| !OPTIONS.contains(&n.as_str())) {
        return Err(format!("invalid option: {name:?}"));
    }
    if let Some(text) = options.values().find(|v| v.contains('\0')) {
        return Err(format!("invalid option: {text:?}"));
    }
    let text = |name: &str| options.get(name).map_or("", String::as_str);
    if text("type") == "cifs" && cifs_host(text("device")).is_some_and(|h| port(h).is_some()) {
        return Err("port not allowed in CIFS device URL, include 'port' in 'o='".into());
    }
    if let Some(size) = options.get("size")
        && types::size::parse(size)? > 0
    {
        return Err("quota size requested but no quota support".into());
    }
    for (name, needs) in NEEDS {
        if options.contains_key(name)
            && let Some(missing) = needs.iter().find(|n| !options.contains_key(**n))
        {
            return Err(format!("missing required option: {missing:?}"));
        }
    }
    Ok(())
}

/// The host of `//host/share`, or `cifs://host/share`.
fn cifs_host(device: &str) -> Option<&str> {
    let rest = device.split_once("//").map(|(_, rest)| rest)?;
    rest.split('/').next().filter(|host| !host.is_empty())
}

fn port(host: &str) -> Option<&str> {
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    after
        .rsplit_once(':')
        .map(|(_, port)| port)
        .filter(|p| !p.is_empty())
}

/// `o` as the kernel takes it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parsed {
    flags: u32,
    propagation: u32,
    data: Vec<String>,
}

/// Words that set or clear a flag of mount(2).
const FLAGS: &[(&str, bool, MountFlags)] = &[
    ("ro", true, MountFlags::RDONLY),
    ("rw", false, MountFlags::RDONLY),
    ("nosuid", true, MountFlags::NOSUID),
    ("suid", false, MountFlags::NOSUID),
    ("nodev", true, MountFlags::NODEV),
    ("dev", false, MountFlags::NODEV),
    ("noexec", true, MountFlags::NOEXEC),
    ("exec", false, MountFlags::NOEXEC),
    ("sync", true, MountFlags::SYNCHRONOUS),
    ("async", false, MountFlags::SYNCHRONOUS),
    ("dirsync", true, MountFlags::DIRSYNC),
    ("mand", true, MountFlags::PERMIT_MANDATORY_FILE_LOCKING),
    ("nomand", false, MountFlags::PERMIT_MANDATORY_FILE_LOCKING),
    ("noatime", true, MountFlags::NOATIME),
    ("atime", false, MountFlags::NOATIME),
    ("nodiratime", true, MountFlags::NODIRATIME),
    ("diratime", false, MountFlags::NODIRATIME),
    ("relatime", true, MountFlags::RELATIME),
    ("norelatime", false, MountFlags::RELATIME),
    ("strictatime", true, MountFlags::STRICTATIME),
    ("nostrictatime", false, MountFlags::STRICTATIME),
    ("bind", true, MountFlags::BIND),
    ("rbind", true, MountFlags::BIND.union(MountFlags::REC)),
];

/// Words that say how mounts spread.
const SPREADS: &[(&str, MountPropagationFlags)] = &[
    ("private", MountPropagationFlags::PRIVATE),
    (
        "rprivate",
        MountPropagationFlags::PRIVATE.union(MountPropagationFlags::REC),
    ),
    ("slave", MountPropagationFlags::DOWNSTREAM),
    (
        "rslave",
        MountPropagationFlags::DOWNSTREAM.union(MountPropagationFlags::REC),
    ),
    ("shared", MountPropagationFlags::SHARED),
    (
        "rshared",
        MountPropagationFlags::SHARED.union(MountPropagationFlags::REC),
    ),
    ("unbindable", MountPropagationFlags::UNBINDABLE),
    (
        "runbindable",
        MountPropagationFlags::UNBINDABLE.union(MountPropagationFlags::REC),
    ),
];

fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for word in text.split(',').filter(|w| !w.is_empty()) {
        if let Some((_, set, flag)) = FLAGS.iter().find(|(name, ..)| *name == word) {
            if *set {
                parsed.flags |= flag.bits();
            } else {
                parsed.flags &= !flag.bits();
            }
        } else if let Some((_, flag)) = SPREADS.iter().find(|(name, _)| *name == word) {
            parsed.propagation |= flag.bits();
        } else if word != "defaults" {
            parsed.data.push(word.to_owned());
        }
    }
    parsed
}

/// Mounts what `options` say on `place`; what went wrong, without passwords.
pub(crate) fn mount(
    options: &BTreeMap<String, String>,
    place: &Path,
) -> std::result::Result<(), String> {
    let text = |name: &str| options.get(name).map_or("", String::as_str);
    let (kind, device) = (text("type"), text("device"));
    if device.is_empty() {
        return Err("missing device in volume options".into());
    }
    let mut parsed = parse(text("o"));
    if matches!(kind, "nfs" | "nfs4" | "cifs") {
        resolve(&mut parsed.data, kind, device)?;
    }
    let flags = MountFlags::from_bits_retain(parsed.flags);
    let data = parsed.data.join(",");
    let failed = |e: Errno| {
        let shown: Vec<String> = parsed.data.iter().map(|word| hidden(word)).collect();
        let mut all = format!(
            "mount {device}:{}, flags: {:#x}",
            place.display(),
            parsed.flags
        );
        if !shown.is_empty() {
            all.push_str(&format!(", data: {}", shown.join(",")));
        }
        format!("{all}: {}", said(e))
    };
    let c_data = CString::new(data).map_err(|_| "invalid option".to_owned())?;
    let first = if flags.contains(MountFlags::BIND) {
        // The kernel takes nothing else with it; the rest follows.
        flags & (MountFlags::BIND | MountFlags::REC)
    } else {
        flags
    };
    rustix::mount::mount(device, place, kind, first, Some(c_data.as_c_str())).map_err(failed)?;
    let rest = || -> rustix::io::Result<()> {
        if first != flags {
            let again = (flags - MountFlags::REC) | MountFlags::BIND;
            rustix::mount::mount_remount(place, again, c"")?;
        }
        if parsed.propagation != 0 {
            let change = MountPropagationFlags::from_bits_retain(parsed.propagation);
            rustix::mount::mount_change(place, change)?;
        }
        Ok(())
    };
    rest().map_err(|e| {
        // Half of what was asked for is not what was asked for.
        let _ = detach(place);
        failed(e)
    })
}

/// The kernel wants addresses where users write names.
fn resolve(data: &mut Vec<String>, kind: &str, device: &str) -> std::result::Result<(), String> {
    let named = data.iter().position(|word| word.starts_with("addr="));
    let host = match named {
        Some(at) => data[at]["addr=".len()..].to_owned(),
        None if kind == "cifs" => match cifs_host(device) {
            Some(host) => host.to_owned(),
            None => return Ok(()),
        },
        None => return Ok(()),
    };
    if host.is_empty() || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let found = (host.as_str(), 0).to_socket_addrs();
    let found = found
        .map_err(|e| e.to_string())
        .and_then(|mut all| all.next().ok_or_else(|| "no address".to_owned()));
    let address = found
        .map_err(|e| {
            format!("error resolving passed in network volume address: lookup {host}: {e}")
        })?
        .ip();
    match named {
        Some(at) => data[at] = format!("addr={address}"),
        None => data.push(format!("addr={address}")),
    }
    Ok(())
}

/// An option as it may be shown.
fn hidden(word: &str) -> String {
    match word.split_once('=') {
        Some((name @ ("password" | "pass"), _)) => format!("{name}=********"),
        _ => word.to_owned(),
    }
}

/// The kernel's word for it, as Go writes it.
fn said(error: Errno) -> String {
    let text = io::Error::from(error).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// Whether something is mounted on `place` itself; also where that does not answer any more.
pub(crate) fn is_mounted(place: &Path) -> Result<bool> {
    match mount_table::as_listed(place)? {
        Some(place) => Ok(mount_table::points()?.contains(&place)),
        None => Ok(false),
    }
}

/// Takes away a mount with all below it. Made private before: what is unmounted below a bind of the
/// host's would be unmounted there, too.
fn detach(place: &Path) -> rustix::io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change(place, private)?;
    rustix::mount::unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
}

/// Refuses where somebody has mounted something at or below `place`: it is not ours to remove.
pub(crate) fn nothing_mounted_in(place: &Path) -> Result<()> {
    let Some(place) = mount_table::as_listed(place)? else {
        return Ok(());
    };
    let points = mount_table::points()?;
    match points.iter().find(|point| point.starts_with(&place)) {
        None => Ok(()),
        Some(point) => Err(Error::Conflict(format!(
            "something is mounted at {}: unmount it before the volume is removed",
            point.display()
        ))),
    }
}

/// Takes away whatever is mounted on `place`.
pub(crate) fn unmount(place: &Path) -> Result<()> {
    while is_mounted(place)? {
        let plain = rustix::mount::unmount(place, UnmountFlags::NOFOLLOW);
        let done = match plain {
            // Some process of the host is in it: it goes when that one does.
            Err(Errno::BUSY) => detach(place),
            done => done,
        };
        done.map_err(|e| Error::path("unmount", place)(e.into()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn options_are_judged_in_dockers_words() {
        for (given, wanted) in [
            (&[][..], ""),
            (
                &[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")],
                "",
            ),
            (&[("size", "0")], ""),
            (&[("nope", "1")], "invalid option: \"nope\""),
            (&[("type", "tmpfs")], "missing required option: \"device\""),
            (&[("device", "/x")], "missing required option: \"type\""),
            (&[("o", "bind")], "missing required option: \"device\""),
            (
                &[("size", "10G")],
                "quota size requested but no quota support",
            ),
            (&[("size", "x")], "invalid size: 'x'"),
            (
                &[("type", "cifs"), ("device", "//host:445/share")],
                "port not allowed in CIFS device URL, include 'port' in 'o='",
            ),
        ] {
            let said = check(&options(given)).err().unwrap_or_default();
            assert_eq!(said, wanted, "{given:?}");
        }
    }

    #[test]
    fn words_become_flags_and_the_rest_is_data() {
        let parsed = parse("ro,nosuid,suid,noexec,size=10m,uid=7,rslave,defaults");
        assert_eq!(
            parsed.flags,
            (MountFlags::RDONLY | MountFlags::NOEXEC).bits()
        );
        assert_eq!(parsed.data, ["size=10m", "uid=7"]);
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        assert_eq!(parsed.propagation, slave.bits());
    }

    #[test]
    fn addresses_stay_and_passwords_are_not_shown() {
        let mut data = vec!["addr=10.0.0.1".to_owned(), "password=secret".to_owned()];
        resolve(&mut data, "nfs", ":/x").unwrap();
        assert_eq!(data[0], "addr=10.0.0.1");
        let place = tempfile::tempdir().unwrap();
        let wrong = options(&[
            ("type", "no-such-fs"),
            ("device", "//10.0.0.1/x"),
            ("o", "password=secret,ro"),
        ]);
        let said = mount(&wrong, place.path()).unwrap_err();
        assert!(
            said.contains("password=********") && !said.contains("secret"),
            "{said}"
        );
        assert!(said.contains("flags: 0x1"), "{said}");
        assert!(!is_mounted(place.path()).unwrap());
    }
}
