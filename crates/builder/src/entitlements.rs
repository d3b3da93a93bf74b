//! What builds may ask of this host beyond the usual, as whoever runs the daemon says.

use types::build::BuildRequest;

use crate::error::{Error, Result};

/// What a build can be allowed by who asks for it, as Docker has it: nobody is more than the daemon
/// grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entitlements {
    /// Steps in this host's network.
    pub network_host: bool,
    /// Steps with all that root can do.
    pub security_insecure: bool,
}

impl Default for Entitlements {
    fn default() -> Self {
        Self {
            network_host: true,
            security_insecure: false,
        }
    }
}

impl Entitlements {
    /// Refuses a build that asks for more.
    pub(crate) fn check(self, request: &BuildRequest) -> Result<()> {
        let asked = |what: &str| request.allow.iter().any(|a| a == what);
        let host = asked("network.host") || request.network == "host";
        let refused = match () {
            () if host && !self.network_host => "network.host",
            () if asked("security.insecure") && !self.security_insecure => "security.insecure",
            () => return Ok(()),
        };
        Err(Error::invalid(format!(
            "granting entitlement {refused} is not allowed by build daemon configuration"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_has_the_last_word() {
        let build = |allow: &[&str], network: &str| BuildRequest {
            allow: allow.iter().map(|&a| a.to_owned()).collect(),
            network: network.to_owned(),
            ..BuildRequest::default()
        };
        let usual = Entitlements::default();
        assert!(usual.check(&build(&["network.host"], "host")).is_ok());
        let insecure = build(&["security.insecure"], "");
        assert!(usual.check(&insecure).is_err());
        let other = Entitlements {
            network_host: false,
            security_insecure: true,
        };
        assert!(other.check(&insecure).is_ok());
        assert!(other.check(&build(&[], "none")).is_ok());
        for refused in [build(&["network.host"], ""), build(&[], "host")] {
            let error = other.check(&refused).unwrap_err().to_string();
            assert!(
                error.contains("network.host is not allowed by build daemon"),
                "{error}"
            );
        }
    }
}
