//! `--mount` and `HostConfig.Mounts`: Docker's rules and texts.

use std::fs;

use types::container::{MountSpec, TmpfsOptions};

use crate::{
    binds::{self, clean},
    error::{Error, Result},
    record::{Mount, MountKind},
};

/// A mount as it was asked for; an anonymous volume's name is filled in later.
pub(crate) fn parse(spec: &MountSpec) -> Result<Mount> {
    let invalid = |why: String| invalid(&spec.kind, &why);
    let given = |field: &str| Err(invalid(format!("field {field} must not be specified")));
    if spec.target.is_empty() {
        return Err(invalid("field Target must not be empty".into()));
    }
    if spec.target.contains('\0') || spec.source.contains('\0') {
        return Err(invalid("paths must not contain NUL".into()));
    }
    let destination = clean(&spec.target);
    if destination == "/" {
        return Err(invalid(
            "invalid specification: destination can't be '/'".into(),
        ));
    }
    absolute(&spec.target).map_err(invalid)?;
    if spec.cluster_options.is_some() {
        return given("ClusterOptions");
    }
    let mount = Mount {
        destination,
        read_only: spec.read_only,
        ..Mount::default()
    };
    if spec.kind != "bind" && spec.bind_options.is_some() {
        return given("BindOptions");
    }
    if spec.kind != "volume" && spec.volume_options.is_some() {
        return given("VolumeOptions");
    }
    if spec.kind != "tmpfs" && spec.tmpfs_options.is_some() {
        return given("TmpfsOptions");
    }
    if spec.kind != "image" && spec.image_options.is_some() {
        return given("ImageOptions");
    }
    match spec.kind.as_str() {
        "bind" => bind(spec, mount),
        "volume" => volume(spec, mount),
        "tmpfs" if !spec.source.is_empty() => given("Source"),
        "tmpfs" => {
            let options = spec.tmpfs_options.clone().unwrap_or_default();
            Ok(Mount {
                kind: MountKind::Tmpfs,
                options: tmpfs(&options, spec.read_only).map_err(invalid)?,
                ..mount
            })
        }
        "image" => image(spec, mount),
        "npipe" | "cluster" => Err(Error::NotSupported(format!(
            "mounts of type \"{}\" are not supported by wharf: leave it out",
            spec.kind
        ))),
        _ => Err(invalid("mount type unknown".into())),
    }
}

fn invalid(kind: &str, why: &str) -> Error {
    Error::Invalid(format!("invalid mount config for type \"{kind}\": {why}"))
}

/// The refusal of a bind whose source is not there.
pub(crate) fn missing(source: &str) -> Error {
    invalid(
        "bind",
        &format!("bind source path does not exist: {source}"),
    )
}

fn absolute(path: &str) -> std::result::Result<(), String> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(format!(
        "invalid mount path: '{path}' mount path must be absolute"
    ))
}

fn bind(spec: &MountSpec, mount: Mount) -> Result<Mount> {
    let invalid = |why: String| invalid("bind", &why);
    if spec.source.is_empty() {
        return Err(invalid("field Source must not be empty".into()));
    }
    let options = spec.bind_options.clone().unwrap_or_default();
    let propagation = options.propagation.as_str();
    if !propagation.is_empty() && !binds::PROPAGATIONS.contains(&propagation) {
        return Err(invalid(format!("invalid propagation mode: {propagation}")));
    }
    if options.read_only_non_recursive && options.read_only_force_recursive {
        return Err(invalid(
            "mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive".into(),
        ));
    }
    absolute(&spec.source).map_err(invalid)?;
    let source = clean(&spec.source);
    if !options.create_mountpoint && fs::metadata(&source).is_err() {
        return Err(missing(&spec.source));
    }
    Ok(Mount {
        source,
        propagation: if propagation.is_empty() {
            "rprivate".into()
        } else {
            propagation.into()
        },
        must_exist: !options.create_mountpoint,
        flat: options.non_recursive,
        flat_read_only: options.read_only_non_recursive,
        ..mount
    })
}

/// Always read-only: what would be written has no place that lasts.
fn image(spec: &MountSpec, mount: Mount) -> Result<Mount> {
    let invalid = |why: &str| invalid("image", why);
    if spec.source.is_empty() {
        return Err(invalid("field Source must not be empty"));
    }
    let options = spec.image_options.clone().unwrap_or_default();
    if !options.subpath.is_empty() && !is_local(&options.subpath) {
        return Err(invalid("subpath must be a relative path within the image"));
    }
    Ok(Mount {
        kind: MountKind::Image,
        source: spec.source.clone(),
        subpath: options.subpath,
        read_only: true,
        ..mount
    })
}

fn volume(spec: &MountSpec, mount: Mount) -> Result<Mount> {
    let invalid = |why: &str| invalid("volume", why);
    let anonymous = spec.source.is_empty();
    let options = spec.volume_options.clone().unwrap_or_default();
    if !options.subpath.is_empty() {
        if anonymous {
            return Err(invalid("must not set Subpath when using anonymous volumes"));
        }
        if !is_local(&options.subpath) {
            return Err(invalid("subpath must be a relative path within the volume"));
        }
    }
    if anonymous && spec.read_only {
        return Err(invalid(
            "must not set ReadOnly mode when using anonymous volumes",
        ));
    }
    if !anonymous {
        binds::volume_name(&spec.source)?;
    }
    let driver = options.driver_config.unwrap_or_default();
    Ok(Mount {
        kind: MountKind::Volume,
        name: spec.source.clone(),
        anonymous,
        copy_up: !options.no_copy,
        subpath: options.subpath,
        labels: options.labels,
        driver: driver.name,
        driver_options: driver.options,
        ..mount
    })
}

/// Whether `path`, by its text alone, stays where it begins.
fn is_local(path: &str) -> bool {
    let mut depth = 0_i32;
    for part in path.split('/') {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        if depth < 0 {
            return false;
        }
    }
    !path.starts_with('/') && !path.contains('\0')
}

/// The options as mount(8) writes them.
fn tmpfs(options: &TmpfsOptions, read_only: bool) -> std::result::Result<String, String> {
    let mut all = Vec::new();
    if read_only {
        all.push("ro".to_owned());
    }
    if options.mode != 0 {
        if options.mode > 0o7777 {
            return Err(format!("invalid mode: {:o}", options.mode));
        }
        all.push(format!("mode={:o}", options.mode));
    }
    if options.size_bytes < 0 {
        return Err(format!("invalid size: {}", options.size_bytes));
    }
    if options.size_bytes != 0 {
        all.push(format!("size={}", options.size_bytes));
    }
    for option in &options.options {
        let text = match option.as_slice() {
            [name] => name.clone(),
            [name, value] => format!("{name}={value}"),
            _ => return Err(format!("invalid option: {option:?}")),
        };
        if text.contains(',') {
            return Err(format!("invalid option: \"{text}\""));
        }
        all.push(text);
    }
    Ok(all.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(spec: Value) -> String {
        let spec: MountSpec = serde_json::from_value(spec).unwrap();
        match parse(&spec) {
            Ok(mount) => format!("{mount:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn dockers_words() {
        for (spec, wanted) in [
            (
                json!({"Type": "bind", "Source": "/no/such", "Target": "/a"}),
                "invalid mount config for type \"bind\": bind source path does not exist: /no/such",
            ),
            (
                json!({"Type": "bind", "Target": "/a"}),
                "invalid mount config for type \"bind\": field Source must not be empty",
            ),
            (
                json!({"Type": "bind", "Source": "a", "Target": "/a"}),
                "invalid mount config for type \"bind\": invalid mount path: 'a' mount path must be \
                 absolute",
            ),
            (
                json!({"Type": "bind", "Source": "/"}),
                "invalid mount config for type \"bind\": field Target must not be empty",
            ),
            (
                json!({"Type": "bind", "Source": "/", "Target": "/a",
                    "BindOptions": {"Propagation": "x"}}),
                "invalid mount config for type \"bind\": invalid propagation mode: x",
            ),
            (
                json!({"Type": "bind", "Source": "/", "Target": "/a", "VolumeOptions": {}}),
                "invalid mount config for type \"bind\": field VolumeOptions must not be specified",
            ),
            (
                json!({"Type": "volume", "Target": "/../"}),
                "invalid mount config for type \"volume\": invalid specification: destination \
                 can't be '/'",
            ),
            (
                json!({"Type": "volume", "Target": "/a", "ReadOnly": true}),
                "invalid mount config for type \"volume\": must not set ReadOnly mode when using \
                 anonymous volumes",
            ),
            (
                json!({"Type": "volume", "Source": "v", "Target": "/a",
                    "VolumeOptions": {"Subpath": "a/../../b"}}),
                "invalid mount config for type \"volume\": subpath must be a relative path within \
                 the volume",
            ),
            (
                json!({"Type": "tmpfs", "Source": "v", "Target": "/a"}),
                "invalid mount config for type \"tmpfs\": field Source must not be specified",
            ),
            (
                json!({"Type": "foo", "Target": "/a"}),
                "invalid mount config for type \"foo\": mount type unknown",
            ),
            (
                json!({"Type": "image", "Target": "/a"}),
                "invalid mount config for type \"image\": field Source must not be empty",
            ),
            (
                json!({"Type": "image", "Source": "i", "Target": "/a",
                    "ImageOptions": {"Subpath": "/etc"}}),
                "invalid mount config for type \"image\": subpath must be a relative path within \
                 the image",
            ),
        ] {
            assert_eq!(said(spec), wanted);
        }
    }

    #[test]
    fn tmpfs_in_words_of_mount() {
        let options = TmpfsOptions {
            size_bytes: 1 << 20,
            mode: 0o1777,
            options: vec![vec!["exec".into()], vec!["uid".into(), "5".into()]],
        };
        let text = tmpfs(&options, true).unwrap();
        assert_eq!(text, "ro,mode=1777,size=1048576,exec,uid=5");
        for bad in [vec![], vec!["a,b".to_owned()]] {
            let options = TmpfsOptions {
                options: vec![bad],
                ..TmpfsOptions::default()
            };
            assert!(tmpfs(&options, false).is_err());
        }
    }
}
