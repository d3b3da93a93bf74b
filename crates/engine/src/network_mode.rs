//! `--network`: which namespace a container lives in.

use types::container::HostConfig;

use crate::error::{Error, Result};

/// Which network namespace a container lives in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NetworkMode {
    /// Its own, on the default bridge.
    Bridge,
    /// Its own, with nothing but loopback.
    None,
    /// The daemon's.
    Host,
    /// That of another container.
    Container(String),
}

impl NetworkMode {
    /// What `host` asks for.
    pub(crate) fn of(host: &HostConfig) -> Result<Self> {
        Ok(match host.network_mode.as_str() {
            "" | "default" | "bridge" => Self::Bridge,
            "none" => Self::None,
            "host" => Self::Host,
            other => match other.strip_prefix("container:") {
                Some("") => {
                    return Err(Error::Invalid(
                        "invalid network mode: invalid container format container:<name|id>".into(),
                    ));
                }
                Some(name) => Self::Container(name.into()),
                None => {
                    return Err(Error::NotSupported(format!(
                        "network {other} not found: networks of the user's own are not supported by \
                         wharf yet; use bridge, host, none or container:<name|id>"
                    )));
                }
            },
        })
    }

    /// Docker's name for the network in `inspect`.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Bridge => Some("bridge"),
            Self::None => Some("none"),
            Self::Host => Some("host"),
            Self::Container(_) => None,
        }
    }
}
