//! `root`, `mounts` and `hooks`.

use std::{fs, path::Path};

use oci_spec::runtime::{Hook, Mount, Spec};

use super::{
    super::{Error, Result},
    absolute, host_error, linux, mappings, no_nul, process,
};

pub(super) fn check(spec: &Spec, warnings: &mut Vec<String>) -> Result<()> {
    let Some(root) = spec.root() else {
        return Err(Error::config("root", "must be specified"));
    };
    if root.path().as_os_str().is_empty() {
        return Err(Error::config("root.path", "must not be empty"));
    }
    let path = root.path().as_os_str().as_encoded_bytes();
    no_nul(|| "root.path".to_owned(), path)?;
    for (i, one) in spec.mounts().iter().flatten().enumerate() {
        mount(i, one, spec, warnings)?;
    }
    let Some(hooks) = spec.hooks() else {
        return Ok(());
    };
    #[allow(deprecated)]
    let kinds = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (kind, list) in kinds {
        for (i, one) in list.iter().flatten().enumerate() {
            hook(&format!("hooks.{kind}[{i}]"), one, warnings)?;
        }
    }
    Ok(())
}

fn mount(i: usize, mount: &Mount, spec: &Spec, warnings: &mut Vec<String>) -> Result<()> {
    let at = |name: &str| format!("mounts[{i}].{name}");
    let destination = mount.destination();
    let bytes = destination.as_os_str().as_encoded_bytes();
    if bytes.is_empty() {
        return Err(Error::config(at("destination"), "must not be empty"));
    }
    no_nul(|| at("destination"), bytes)?;
    if !destination.is_absolute() {
        warnings.push(format!(
            "{}: {} is relative, which is taken as relative to /",
            at("destination"),
            destination.display()
        ));
    }
    let options = mount.options().as_deref().unwrap_or_default();
    for (n, option) in options.iter().enumerate() {
        no_nul(|| at(&format!("options[{n}]")), option.as_bytes())?;
    }
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    no_nul(|| at("source"), source.as_os_str().as_encoded_bytes())?;
    let typ = mount.typ().as_deref().unwrap_or_default();
    no_nul(|| at("type"), typ.as_bytes())?;
    let bind = typ == "bind" || options.iter().any(|o| o == "bind" || o == "rbind");
    if bind && source.as_os_str().is_empty() {
        return Err(Error::config(at("source"), "a bind mount needs one"));
    }
    if !bind && typ.is_empty() {
        return Err(Error::config(
            at("type"),
            "is missing, and there is no option \"bind\" or \"rbind\"",
        ));
    }
    mapped(&at, mount, bind, spec)
}

/// A mount with mapped numbers: `idmap` alone takes those of the user namespace.
fn mapped(at: &dyn Fn(&str) -> String, mount: &Mount, bind: bool, spec: &Spec) -> Result<()> {
    let uids = mount.uid_mappings().as_deref().unwrap_or_default();
    let gids = mount.gid_mappings().as_deref().unwrap_or_default();
    let asked = mount
        .options()
        .iter()
        .flatten()
        .any(|o| o == "idmap" || o == "ridmap");
    if uids.is_empty() != gids.is_empty() {
        let (lacks, has) = if uids.is_empty() {
            ("uidMappings", "gidMappings")
        } else {
            ("gidMappings", "uidMappings")
        };
        return Err(Error::config(at(lacks), format!("is missing beside {has}")));
    }
    if uids.is_empty() {
        if asked && !linux::has_user_namespace(spec) {
            return Err(Error::config(
                at("uidMappings"),
                "is missing: the option \"idmap\" needs mappings, or a user namespace",
            ));
        }
        return Ok(());
    }
    if !bind {
        return Err(Error::config(
            at("uidMappings"),
            "is supported only for mounts with the option 'bind'",
        ));
    }
    mappings::check(&at("uidMappings"), uids)?;
    mappings::check(&at("gidMappings"), gids)
}

fn hook(at: &str, hook: &Hook, warnings: &mut Vec<String>) -> Result<()> {
    absolute(|| format!("{at}.path"), hook.path())?;
    for (i, arg) in hook.args().iter().flatten().enumerate() {
        no_nul(|| format!("{at}.args[{i}]"), arg.as_bytes())?;
    }
    let env = hook.env().as_deref().unwrap_or_default();
    process::env(&format!("{at}.env"), env, warnings)?;
    match hook.timeout() {
        Some(seconds) if seconds <= 0 => Err(Error::config(
            format!("{at}.timeout"),
            format!("{seconds} is not greater than 0"),
        )),
        _ => Ok(()),
    }
}

/// The root file system must be a directory, and no link to one: a link can be turned elsewhere
/// between this look and the mount.
pub(super) fn root_exists(spec: &Spec, bundle: &Path) -> Result<()> {
    let Some(root) = spec.root() else {
        return Ok(());
    };
    let path = bundle.join(root.path());
    let found = match fs::symlink_metadata(&path) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::config(
                "root.path",
                format!("there is no {}", path.display()),
            ));
        }
        Err(e) => return Err(host_error(format!("look at {}", path.display()), e)),
    };
    if found.is_symlink() {
        return Err(Error::config(
            "root.path",
            format!("{} is a symbolic link", path.display()),
        ));
    }
    if !found.is_dir() {
        return Err(Error::config(
            "root.path",
            format!("{} is not a directory", path.display()),
        ));
    }
    Ok(())
}
