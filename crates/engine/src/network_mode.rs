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
    /// Its own, in a network of the user's.
    Own(String),
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
                None => Self::Own(other.into()),
            },
        })
    }
}
