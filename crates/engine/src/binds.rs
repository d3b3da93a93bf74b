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
    let words = Words::parse(mode)?;
    mount.read_only = words.read_only;
    if words.no_copy {
        if kind != MountKind::Volume {
            return Err(bad_mode(mode));
        }
        mount.copy_up = false;
    }
    if let Some(propagation) = words.propagation {
        if kind != MountKind::Bind {
            return Err(bad_mode(mode));
        }
        mount.propagation = propagation.into();
    }
    Ok(mount)
}

/// What the words of a mode say, each kind of them at most once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Words<'a> {
    pub(crate) read_only: bool,
    pub(crate) no_copy: bool,
    pub(crate) propagation: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// The words of `ro,Z,rslave`; none of an empty text.
    pub(crate) fn parse(mode: &'a str) -> Result<Self> {
        let mut words = Self::default();
        let mut seen = Vec::new();
        for word in mode.split(',').filter(|_| !mode.is_empty()) {
            let kind = match word {
                "rw" | "ro" => {
                    words.read_only = word == "ro";
                    "access"
                }
                // Labels mean nothing without SELinux, as in Docker.
                "z" | "Z" => "label",
                // How up to date both sides must be: on Linux they always are.
                "consistent" | "cached" | "delegated" => "consistency",
                "nocopy" => {
                    words.no_copy = true;
                    "copy"
                }
                word if PROPAGATIONS.contains(&word) => {
                    words.propagation = Some(word);
                    "propagation"
                }
                _ => return Err(bad_mode(mode)),
            };
            if seen.contains(&kind) {
                return Err(bad_mode(mode));
            }
            seen.push(kind);
        }
        Ok(words)
    }
}

pub(crate) fn bad_mode(mode: &str) -> Error {
    Error::Invalid(format!("invalid mode: {mode}"))
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
        for good in [
            "/a:/b:cached",
            "data:/b:ro,delegated",
            "/a:/b:consistent,Z,ro,rslave",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
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
            "/a:/b:ro,rw",
            "/a:/b:ro,ro",
            "/a:/b:z,Z",
            "/a:/b:ro,",
            "/a:/b:rshared,rslave",
            "/a:/b:cached,delegated",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
