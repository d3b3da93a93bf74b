//! `--pid`, `--ipc`: which namespaces a container lives in; [`crate::network_mode`] for the network.

use types::container::{ContainerConfig, HostConfig};

use crate::{
    Engine,
    error::{Error, Result},
};

/// Which processes a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pid {
    /// Its own.
    Own,
    /// The host's.
    Host,
    /// Those of another container.
    Container(String),
}

impl Pid {
    /// What `host` asks for.
    pub(crate) fn of(host: &HostConfig) -> Result<Self> {
        match host.pid_mode.as_str() {
            "" => Ok(Self::Own),
            "host" => Ok(Self::Host),
            mode => match mode.strip_prefix("container:") {
                Some(name) if !name.is_empty() => Ok(Self::Container(name.into())),
                _ => Err(Error::Invalid(format!("invalid PID mode: {mode}"))),
            },
        }
    }
}

/// Which queues and shared memory a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ipc {
    /// Its own, for it alone.
    Private,
    /// Its own, which others may join.
    Shareable,
    /// Its own, without `/dev/shm`.
    None,
    /// The host's.
    Host,
    /// Those of another container.
    Container(String),
}

impl Ipc {
    /// What `host` asks for.
    pub(crate) fn of(host: &HostConfig) -> Result<Self> {
        match host.ipc_mode.as_str() {
            "" | "private" => Ok(Self::Private),
            "shareable" => Ok(Self::Shareable),
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            mode => match mode.strip_prefix("container:") {
                Some(name) if !name.is_empty() => Ok(Self::Container(name.into())),
                _ => Err(Error::Invalid(format!("invalid IPC mode: {mode}"))),
            },
        }
    }
}

impl Engine {
    /// Completes and checks which namespaces it shares with whom.
    pub(crate) fn settle_modes(
        &self,
        config: &ContainerConfig,
        host: &mut HostConfig,
    ) -> Result<()> {
        let invalid = |text: String| Err(Error::Invalid(text));
        // By identifier from now on, as for the network: the name may move on.
        if let Pid::Container(other) = Pid::of(host)? {
            let found = self.find(&other);
            let other = found
                .map_err(|e| Error::Invalid(format!("invalid PID mode: {}: {e}", host.pid_mode)))?;
            host.pid_mode = format!("container:{}", other.id);
        }
        match Ipc::of(host)? {
            Ipc::Container(other) => {
                let found = self.find(&other);
                let other = found.map_err(|e| {
                    Error::Invalid(format!("invalid IPC mode: {}: {e}", host.ipc_mode))
                })?;
                host.ipc_mode = format!("container:{}", other.id);
            }
            _ if host.ipc_mode.is_empty() => host.ipc_mode = "private".into(),
            _ => {}
        }
        if host.uts_mode == "host" && !config.hostname.is_empty() {
            return invalid("conflicting options: hostname and the UTS mode".into());
        }
        if !matches!(host.userns_mode.as_str(), "" | "host") {
            return invalid(format!("invalid user namespace mode: {}", host.userns_mode));
        }
        if let Some((name, _)) = host.storage_opt.iter().next() {
            return Err(if name == "size" {
                Error::NotSupported(
                    "HostConfig.StorageOpt size is not supported by wharf yet: leave it out, and \
                     bound the data root's file system"
                        .into(),
                )
            } else {
                Error::Invalid(format!("Unknown option {name}"))
            });
        }
        if self.remap(host).is_none() {
            return Ok(());
        }
        if host.privileged {
            return invalid(
                "privileged mode is incompatible with user namespaces.  You must run the \
                 container in the host namespace when running privileged mode"
                    .into(),
            );
        }
        if host.network_mode == "host" {
            return invalid(
                "cannot share the host's network namespace when user namespaces are enabled".into(),
            );
        }
        if host.pid_mode == "host" {
            return invalid(
                "cannot share the host PID namespace when user namespaces are enabled".into(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let of = |mode: &str| {
            let host = HostConfig {
                pid_mode: mode.into(),
                ipc_mode: mode.into(),
                ..HostConfig::default()
            };
            (Pid::of(&host), Ipc::of(&host))
        };
        assert!(matches!(of(""), (Ok(Pid::Own), Ok(Ipc::Private))));
        assert!(matches!(of("host"), (Ok(Pid::Host), Ok(Ipc::Host))));
        let (pid, ipc) = of("container:a");
        assert_eq!(pid.ok(), Some(Pid::Container("a".into())));
        assert_eq!(ipc.ok(), Some(Ipc::Container("a".into())));
        assert!(matches!(of("none"), (Err(_), Ok(Ipc::None))));
        for bad in ["container:", "hosts", "container"] {
            assert!(matches!(of(bad), (Err(_), Err(_))), "{bad}");
        }
    }
}
