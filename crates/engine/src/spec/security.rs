//! `--security-opt`: what each option means, and which this host cannot give.

use runtime::{apparmor, spec::Seccomp};
use types::{boolean, container::HostConfig};

use crate::error::{Error, Result};

/// Docker's name for the profile of containers: here it means ours.
const DOCKER_DEFAULT: &str = "docker-default";

/// How it is with AppArmor on this host.
struct AppArmor<'a> {
    on: bool,
    /// The profile of containers that name none, where it is loaded.
    default: Option<&'static str>,
    is_loaded: &'a dyn Fn(&str) -> bool,
}

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
    let apparmor = AppArmor {
        on: *apparmor::prepare() != apparmor::State::Off,
        default: apparmor::default_profile(),
        is_loaded: &apparmor::is_loaded,
    };
    read_on(host, &apparmor)
}

fn read_on(host: &HostConfig, kernel: &AppArmor<'_>) -> Result<Security> {
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
                found.no_new_privileges = boolean::parse(value).ok_or_else(bad)?;
            }
            ("writable-cgroups", value) => {
                found.writable_cgroups = Some(boolean::parse(value).ok_or_else(bad)?);
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
    found.apparmor = profile(apparmor, host.privileged, kernel)?;
    Ok(found)
}

/// The profile to run under: none without AppArmor.
fn profile(asked: Option<&str>, privileged: bool, kernel: &AppArmor<'_>) -> Result<Option<String>> {
    let unconfined = || kernel.on.then(|| "unconfined".to_owned());
    match asked.filter(|p| !p.is_empty()) {
        Some("unconfined") => Ok(unconfined()),
        Some(name) if !kernel.on => Err(Error::Invalid(format!(
            "--security-opt apparmor={name}: AppArmor is not enabled on this host"
        ))),
        Some(DOCKER_DEFAULT) if kernel.default.is_some() => Ok(kernel.default.map(str::to_owned)),
        Some(name) if (kernel.is_loaded)(name) => Ok(Some(name.to_owned())),
        Some(name) => Err(Error::Invalid(format!(
            "--security-opt apparmor={name}: no AppArmor profile of this name is loaded: load it \
             with apparmor_parser"
        ))),
        None if privileged => Ok(unconfined()),
        None => Ok(kernel.default.map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: AppArmor<'_> = AppArmor {
        on: false,
        default: None,
        is_loaded: &|_| false,
    };

    fn of(options: &[&str], kernel: &AppArmor<'_>) -> std::result::Result<Security, String> {
        let host = HostConfig {
            security_opt: options.iter().map(|o| (*o).to_owned()).collect(),
            ..HostConfig::default()
        };
        read_on(&host, kernel).map_err(|e| e.to_string())
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
            &OFF,
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
            let error = of(&[bad], &OFF).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn profiles() {
        let loaded = AppArmor {
            on: true,
            default: Some("ours"),
            is_loaded: &|name| name == "mine",
        };
        let on = |options: &[&str]| of(options, &loaded).map(|s| s.apparmor);
        let name = |name: &str| Ok(Some(name.to_owned()));
        assert_eq!(on(&[]), name("ours"));
        assert_eq!(on(&["apparmor=docker-default"]), name("ours"));
        assert_eq!(on(&["apparmor=mine"]), name("mine"));
        assert_eq!(on(&["apparmor:unconfined"]), name("unconfined"));
        assert!(on(&["apparmor=other"]).unwrap_err().contains("is loaded"));
        assert_eq!(of(&[], &OFF).map(|s| s.apparmor), Ok(None));
        let off = of(&["apparmor=unconfined"], &OFF);
        assert_eq!(off.map(|s| s.apparmor), Ok(None));
    }
}
