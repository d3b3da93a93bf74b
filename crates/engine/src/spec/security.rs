//! `--security-opt`: what each option means, and which this host cannot give.

use std::fs;

use runtime::spec::Seccomp;
use types::container::HostConfig;

use crate::error::{Error, Result};

/// What a container runs under that asks for nothing: wharf's own, or Docker's where somebody loaded that.
const APPARMOR_DEFAULTS: [&str; 2] = [runtime::apparmor::DEFAULT, "docker-default"];
/// The profiles that are loaded, one a line, `name (mode)`.
const APPARMOR_LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// What the options say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub seccomp: Seccomp,
    pub no_new_privileges: bool,
    pub apparmor: Option<String>,
    /// Nothing of `/proc` and `/sys` is hidden or read-only.
    pub open_paths: bool,
    pub writable_cgroups: Option<bool>,
}

/// Reads `--security-opt`, on a host with AppArmor or without.
pub(crate) fn read(host: &HostConfig) -> Result<Security> {
    read_on(host, apparmor_profiles().as_deref())
}

fn read_on(host: &HostConfig, loaded: Option<&[String]>) -> Result<Security> {
    let mut found = Security::default();
    let mut apparmor = None;
    for option in &host.security_opt {
        let shown: String = option.chars().take(60).collect();
        let bad = || Error::Invalid(format!("invalid --security-opt 2: {shown:?}"));
        if option == "no-new-privileges" {
            found.no_new_privileges = true;
            continue;
        }
        let (name, value) = option
            .split_once('=')
            .or_else(|| option.split_once(':'))
            .ok_or_else(|| Error::Invalid(format!("invalid --security-opt 1: {shown:?}")))?;
        match (name, value) {
            ("no-new-privileges", value) => {
                found.no_new_privileges = boolean(value).ok_or_else(bad)?;
            }
            ("writable-cgroups", value) => {
                found.writable_cgroups = Some(boolean(value).ok_or_else(bad)?);
            }
            ("seccomp", "unconfined") => found.seccomp = Seccomp::Unconfined,
            ("seccomp", "builtin") => found.seccomp = Seccomp::Default,
            ("seccomp", profile) => found.seccomp = Seccomp::Profile(profile.to_owned()),
            ("apparmor", profile) => apparmor = Some(profile),
            ("systempaths", "unconfined") => found.open_paths = true,
            // What is the case anyway: no label without SELinux.
            ("label", "disable") => {}
            ("label", _) => {
                return Err(Error::Invalid(format!(
                    "--security-opt {shown}: SELinux is not enabled on this host"
                )));
            }
            _ => return Err(bad()),
        }
    }
    found.apparmor = profile(apparmor, host.privileged, loaded)?;
    Ok(found)
}

/// The profile to run under, given those that are loaded: none without AppArmor.
fn profile(
    asked: Option<&str>,
    privileged: bool,
    loaded: Option<&[String]>,
) -> Result<Option<String>> {
    let is_loaded = |name: &str| loaded.is_some_and(|l| l.iter().any(|p| p == name));
    match asked.filter(|p| !p.is_empty()) {
        Some("unconfined") => Ok(loaded.map(|_| "unconfined".to_owned())),
        Some(name) if is_loaded(name) => Ok(Some(name.to_owned())),
        Some(name) if loaded.is_some() => Err(Error::Invalid(format!(
            "--security-opt apparmor={name}: no AppArmor profile of this name is loaded: load it \
             with apparmor_parser"
        ))),
        Some(name) => Err(Error::Invalid(format!(
            "--security-opt apparmor={name}: AppArmor is not enabled on this host"
        ))),
        None if privileged => Ok(loaded.map(|_| "unconfined".to_owned())),
        None => {
            let default = APPARMOR_DEFAULTS.into_iter().find(|name| is_loaded(name));
            Ok(default.map(str::to_owned))
        }
    }
}

/// The loaded profiles; `None` where the kernel has no AppArmor.
fn apparmor_profiles() -> Option<Vec<String>> {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").ok()?;
    if !enabled.starts_with('Y') {
        return None;
    }
    let text = fs::read_to_string(APPARMOR_LOADED).unwrap_or_default();
    let name = |line: &str| line.rsplit_once(" (").map_or(line, |(n, _)| n).to_owned();
    Some(text.lines().map(name).collect())
}

/// Go's booleans.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[&str], loaded: Option<&[String]>) -> std::result::Result<Security, String> {
        let host = HostConfig {
            security_opt: options.iter().map(|o| (*o).to_owned()).collect(),
            ..HostConfig::default()
        };
        read_on(&host, loaded).map_err(|e| e.to_string())
    }

    #[test]
    fn options() {
        let found = of(
            &[
                "no-new-privileges:true",
                "seccomp={}",
                "writable-cgroups=1",
                "label=disable",
            ],
            None,
        );
        let wanted = Security {
            seccomp: Seccomp::Profile("{}".into()),
            no_new_privileges: true,
            writable_cgroups: Some(true),
            ..Security::default()
        };
        assert_eq!(found, Ok(wanted));
        for (bad, words) in [
            ("nonsense", "invalid --security-opt 1: \"nonsense\""),
            ("colour=red", "invalid --security-opt 2: \"colour=red\""),
            ("no-new-privileges=maybe", "invalid --security-opt 2"),
            ("label=type:x", "SELinux is not enabled"),
            ("apparmor=mine", "apparmor=mine: AppArmor is not enabled"),
        ] {
            let error = of(&[bad], None).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn apparmor() {
        let loaded = ["docker-default".to_owned(), "mine".to_owned()];
        let on = |options: &[&str]| of(options, Some(&loaded)).map(|s| s.apparmor);
        assert_eq!(on(&[]), Ok(Some("docker-default".into())));
        assert_eq!(on(&["apparmor=mine"]), Ok(Some("mine".into())));
        assert_eq!(on(&["apparmor:unconfined"]), Ok(Some("unconfined".into())));
        assert!(on(&["apparmor=other"]).unwrap_err().contains("is loaded"));
        assert_eq!(of(&[], Some(&[])).map(|s| s.apparmor), Ok(None));
        assert_eq!(
            of(&["apparmor=unconfined"], None).map(|s| s.apparmor),
            Ok(None)
        );
    }
}
