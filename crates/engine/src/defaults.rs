//! What the daemon's settings say for containers that do not.

use types::container::HostConfig;

/// The daemon's defaults for new containers; they become part of a container's definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `private` or `shareable`.
    pub ipc_mode: Option<String>,
    /// `host` or `private`.
    pub cgroupns_mode: Option<String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<i64>,
    /// Whether an init is run.
    pub init: bool,
    /// Whether programs may not gain privileges.
    pub no_new_privileges: bool,
    /// A seccomp profile's text, or `unconfined`.
    pub seccomp: Option<String>,
}

impl Defaults {
    /// Fills in what `host` leaves open.
    pub(crate) fn fill(&self, host: &mut HostConfig) {
        if host.ipc_mode.is_empty()
            && let Some(mode) = &self.ipc_mode
        {
            host.ipc_mode.clone_from(mode);
        }
        if host.cgroupns_mode.is_empty()
            && !host.privileged
            && let Some(mode) = &self.cgroupns_mode
        {
            host.cgroupns_mode.clone_from(mode);
        }
        if host.shm_size == 0
            && let Some(size) = self.shm_size
        {
            host.shm_size = size;
        }
        if self.init && host.init.is_none() {
            host.init = Some(true);
        }
        let says = |host: &HostConfig, name: &str| {
            host.security_opt.iter().any(|option| {
                option
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ':']))
            })
        };
        if self.no_new_privileges && !says(host, "no-new-privileges") {
            host.security_opt.push("no-new-privileges=true".into());
        }
        if let Some(profile) = &self.seccomp
            && !host.privileged
            && !says(host, "seccomp")
        {
            host.security_opt.push(format!("seccomp={profile}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_open_is_filled_in() {
        let defaults = Defaults {
            ipc_mode: Some("shareable".into()),
            cgroupns_mode: Some("private".into()),
            shm_size: Some(1),
            init: true,
            no_new_privileges: true,
            seccomp: Some("unconfined".into()),
        };
        let mut open = HostConfig::default();
        defaults.fill(&mut open);
        assert_eq!(open.ipc_mode, "shareable");
        assert_eq!((open.shm_size, open.init), (1, Some(true)));
        assert_eq!(
            open.security_opt,
            ["no-new-privileges=true", "seccomp=unconfined"]
        );
        let settled = HostConfig {
            ipc_mode: "host".into(),
            cgroupns_mode: "host".into(),
            shm_size: 2,
            init: Some(false),
            security_opt: vec!["no-new-privileges:false".into(), "seccomp=builtin".into()],
            ..HostConfig::default()
        };
        let mut same = settled.clone();
        defaults.fill(&mut same);
        assert_eq!(same, settled);
    }
}
