//! Docker's seccomp profiles: rules that hold for some capabilities, architectures and kernels,
//! resolved into what an OCI runtime takes.

use std::sync::OnceLock;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSyscall,
};
use serde::Deserialize;

use crate::{
    Error,
    caps::CapSet,
    host::{Host, parse_version},
};

/// The architecture of this program, as profiles name it.
#[cfg(target_arch = "x86_64")]
const NATIVE: (&str, Arch) = ("amd64", Arch::ScmpArchX86_64);
/// The architecture of this program, as profiles name it.
#[cfg(target_arch = "aarch64")]
const NATIVE: (&str, Arch) = ("arm64", Arch::ScmpArchAarch64);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: LinuxSeccompAction,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    architectures: Option<Vec<Arch>>,
    #[serde(default)]
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    #[serde(default)]
    syscalls: Option<Vec<Rule>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    /// Text, since profiles name architectures that this program's tables may not.
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    action: LinuxSeccompAction,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<LinuxSeccompArg>>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
    #[serde(default)]
    min_kernel: Option<String>,
}

/// Docker's default profile for a container with these capabilities.
pub(crate) fn default_profile(caps: CapSet, host: &Host) -> Result<LinuxSeccomp, Error> {
    static PARSED: OnceLock<Result<Profile, String>> = OnceLock::new();
    let parsed = PARSED.get_or_init(|| {
        serde_json::from_str(include_str!("seccomp-default.json")).map_err(|e| e.to_string())
    });
    match parsed {
        Ok(profile) => resolve(profile, caps, host),
        Err(e) => Err(Error::Invalid(format!(
            "the built-in seccomp profile is wrong: {e}"
        ))),
    }
}

/// A profile the user gave.
pub(crate) fn custom_profile(json: &str, caps: CapSet, host: &Host) -> Result<LinuxSeccomp, Error> {
    let profile = serde_json::from_str(json)
        .map_err(|e| Error::Invalid(format!("Decoding seccomp profile failed: {e}")))?;
    resolve(&profile, caps, host)
}

fn resolve(profile: &Profile, caps: CapSet, host: &Host) -> Result<LinuxSeccomp, Error> {
    let mut seccomp = LinuxSeccomp::default();
    seccomp.set_default_action(profile.default_action);
    seccomp.set_default_errno_ret(profile.default_errno_ret);
    seccomp.set_flags(profile.flags.clone());
    seccomp.set_architectures(architectures(profile)?);
    let mut syscalls = Vec::new();
    for rule in profile.syscalls.iter().flatten() {
        if !rule.applies(caps, host)? {
            continue;
        }
        let names = match (&rule.name, rule.names.is_empty()) {
            (Some(_), false) => {
                return Err(Error::Invalid(
                    "'name' and 'names' were specified in the seccomp profile, use either one of \
                     them"
                        .to_owned(),
                ));
            }
            (Some(name), true) => vec![name.clone()],
            (None, _) => rule.names.clone(),
        };
        let mut syscall = LinuxSyscall::default();
        syscall.set_names(names);
        syscall.set_action(rule.action);
        syscall.set_errno_ret(rule.errno_ret);
        syscall.set_args(rule.args.clone().filter(|a| !a.is_empty()));
        syscalls.push(syscall);
    }
    seccomp.set_syscalls(Some(syscalls));
    Ok(seccomp)
}

fn architectures(profile: &Profile) -> Result<Option<Vec<Arch>>, Error> {
    let Some(map) = profile.arch_map.as_ref().filter(|m| !m.is_empty()) else {
        return Ok(profile.architectures.clone());
    };
    if profile
        .architectures
        .as_ref()
        .is_some_and(|a| !a.is_empty())
    {
        return Err(Error::Invalid(
            "'architectures' and 'archMap' were specified in the seccomp profile, use either one \
             of them"
                .to_owned(),
        ));
    }
    let parse = |name: &str| -> Result<Arch, Error> {
        serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(|_| {
            Error::Invalid(format!(
                "unknown architecture {name:?} in the seccomp profile"
            ))
        })
    };
    let mut found = Vec::new();
    for entry in map {
        // Those of other machines may well be unknown here.
        if parse(&entry.architecture).is_ok_and(|a| a == NATIVE.1) {
            found.push(NATIVE.1);
            for sub in entry.sub_architectures.iter().flatten() {
                found.push(parse(sub)?);
            }
            break;
        }
    }
    Ok(Some(found))
}

impl Rule {
    fn applies(&self, caps: CapSet, host: &Host) -> Result<bool, Error> {
        if let Some(excludes) = &self.excludes
            && (excludes.arches.iter().any(|a| a == NATIVE.0)
                || excludes.caps.iter().any(|c| caps.has(c))
                || excludes.kernel()?.is_some_and(|min| host.kernel >= min))
        {
            return Ok(false);
        }
        if let Some(includes) = &self.includes {
            return Ok((includes.arches.is_empty()
                || includes.arches.iter().any(|a| a == NATIVE.0))
                && includes.caps.iter().all(|c| caps.has(c))
                && includes.kernel()?.is_none_or(|min| host.kernel >= min));
        }
        Ok(true)
    }
}

impl Filter {
    fn kernel(&self) -> Result<Option<(u32, u32)>, Error> {
        self.min_kernel
            .as_deref()
            .map(|text| {
                parse_version(text).ok_or_else(|| {
                    Error::Invalid(format!(
                        "minKernel {text:?} in the seccomp profile is no version of a kernel"
                    ))
                })
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps;

    fn host(kernel: (u32, u32)) -> Host {
        Host {
            caps: CapSet::all(),
            oom_score_adj: 0,
            kernel,
            cgroup2: false,
            swap_limit: true,
            controls: crate::controls::Controls::default(),
        }
    }

    /// The rules for a system call.
    fn rules<'a>(seccomp: &'a LinuxSeccomp, name: &str) -> Vec<&'a LinuxSyscall> {
        let all = seccomp.syscalls().as_ref().unwrap();
        all.iter()
            .filter(|s| s.names().iter().any(|n| n == name))
            .collect()
    }

    #[test]
    fn docker_default() {
        let seccomp = default_profile(CapSet::docker(), &host((6, 1))).unwrap();
        assert_eq!(seccomp.default_action(), LinuxSeccompAction::ScmpActErrno);
        assert_eq!(seccomp.default_errno_ret(), Some(1));
        #[cfg(target_arch = "x86_64")]
        assert_eq!(
            seccomp.architectures().as_deref(),
            Some(&[Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32][..])
        );
        assert_eq!(rules(&seccomp, "read").len(), 1);
        assert!(rules(&seccomp, "mount").is_empty());
        assert!(rules(&seccomp, "bpf").is_empty());
        assert!(rules(&seccomp, "sync_file_range2").is_empty());
        // Namespaces may not be made by clone, and clone3 cannot be looked into.
        let clone = rules(&seccomp, "clone");
        assert_eq!(clone.len(), 1);
        assert_eq!(clone[0].args().as_ref().unwrap()[0].value(), 0x7e02_0000);
        let clone3 = rules(&seccomp, "clone3");
        assert_eq!((clone3.len(), clone3[0].errno_ret()), (1, Some(38)));
        assert_eq!(rules(&seccomp, "chroot").len(), 1);
    }

    #[test]
    fn by_capability_and_kernel() {
        let caps = caps::resolve(&["SYS_ADMIN".to_owned()], &[], false).unwrap();
        let seccomp = default_profile(caps, &host((4, 7))).unwrap();
        assert_eq!(rules(&seccomp, "mount").len(), 1);
        let clone = rules(&seccomp, "clone");
        assert!(clone.len() == 1 && clone[0].args().is_none());
        assert!(rules(&seccomp, "ptrace").is_empty());
        let seccomp = default_profile(caps, &host((4, 8))).unwrap();
        assert_eq!(rules(&seccomp, "ptrace").len(), 1);
    }

    #[test]
    fn custom_profiles() {
        let of = |json: &str| custom_profile(json, CapSet::docker(), &host((6, 1)));
        let seccomp = of(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],
            "syscalls":[{"name":"mkdir","action":"SCMP_ACT_ERRNO","errnoRet":5,"args":[]}]}"#,
        )
        .unwrap();
        assert_eq!(rules(&seccomp, "mkdir")[0].errno_ret(), Some(5));
        for (json, words) in [
            ("{", "Decoding seccomp profile failed"),
            (r#"{"syscalls":[]}"#, "defaultAction"),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
                "archMap":[{"architecture":"SCMP_ARCH_X86_64"}]}"#,
                "use either one",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW",
                "syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_LOG"}]}"#,
                "use either one",
            ),
        ] {
            let error = of(json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
