//! `-v`: `source:target[:options]` or a target alone, with Docker's rules and texts.

use types::names;

use crate::{
    error::{Error, Result},
    record::{Mount, MountKind},
};

pub(crate) const PROPAGATIONS: &[&str] = &[
    "private", "rprivate", "slave", "rslave", "shared", "rshared",
];

/// A bind or volume as the user wrote it; a volume's `source` is filled in later.
pub(crate) fn parse(spec: &str) -> Result<Mount> {
    let invalid = || Error::Invalid(format!("invalid volume specification: '{spec}'"));
    if spec.contains('\0') {
        return Err(invalid());
    }
    let parts: Vec<&str> = spec.split(':').collect();
    let (source, destination, mode) = match parts[..] {
        [destination] => ("", destination, ""),
        [source, destination] if !source.is_empty() => (source, destination, ""),
        [source, destination, mode] if !source.is_empty() => (source, destination, mode),
        _ => return Err(invalid()),
    };
    if !destination.starts_with('/') {
        return Err(Error::Invalid(format!(
            "invalid volume specification: '{spec}': invalid mount config for type \"volume\": \
             invalid mount path: '{destination}' mount path must be absolute"
        )));
    }
    let destination = clean(destination);
    if destination == "/" {
        return Err(Error::Invalid(format!(
            "invalid volume specification: '{spec}': invalid mount config: \
             invalid specification: destination can't be '/'"
        )));
    }
    let kind = if source.starts_with('/') {
        MountKind::Bind
    } else {
        MountKind::Volume
    };
    if kind == MountKind::Volume && !source.is_empty() {
        volume_name(source)?;
    }
    let mut mount = Mount {
        kind,
        name: if kind == MountKind::Volume {
            source.into()
        } else {
            String::new()
        },
        anonymous: source.is_empty(),
        source: if kind == MountKind::Bind {
            clean(source)
        } else {
            String::new()
        },
        destination,
        read_only: false,
        copy_up: kind == MountKind::Volume,
        mode: mode.into(),
        propagation: if kind == MountKind::Bind {
            "rprivate".into()
        } else {
            String::new()
        },
        ..Mount::default()
    };
    for option in mode.split(',').filter(|o| !o.is_empty()) {
        match option {
            "rw" => mount.read_only = false,
            "ro" => mount.read_only = true,
            // Labels mean nothing without SELinux, as in Docker.
            "z" | "Z" => {}
            "nocopy" if kind == MountKind::Volume => mount.copy_up = false,
            p if PROPAGATIONS.contains(&p) && kind == MountKind::Bind => {
                mount.propagation = p.into()
            }
            _ => return Err(Error::Invalid(format!("invalid mode: {mode}"))),
        }
    }
    Ok(mount)
}

/// Refuses what no volume can be called.
pub(crate) fn volume_name(name: &str) -> Result<()> {
    if names::is_valid(name) {
        return Ok(());
    }
    if name.len() == 1 {
        return Err(Error::Invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric \
             characters"
        )));
    }
    Err(Error::Invalid(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"{}\" are allowed. If you intended to pass a host directory, use absolute path",
        names::ALLOWED
    )))
}

/// `path` without empty, `.` and `..` components, as Go's `path.Clean` does for absolute paths.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications() {
        let bind = parse("/a/../b:/c/:ro,rslave").unwrap();
        assert_eq!(
            (bind.source.as_str(), bind.destination.as_str()),
            ("/b", "/c")
        );
        assert!(bind.read_only && bind.propagation == "rslave" && bind.kind == MountKind::Bind);
        let volume = parse("data:/var/lib").unwrap();
        assert!(volume.copy_up && volume.name == "data" && !volume.anonymous);
        assert!(parse("/var/lib").unwrap().anonymous);
        for bad in [
            "",
            ":/a",
            "a:b",
            "a:/",
            "a:/b:zz",
            "/a:/b:nocopy",
            "-x:/b",
            "a:b:c:d",
            "a:/b:rshared",
            "/a\0b:/c",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
