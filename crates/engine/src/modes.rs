//! `--pid`, `--ipc`: which namespaces a container lives in; [`crate::network_mode`] for the network.

use types::container::HostConfig;

use crate::error::{Error, Result};

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
