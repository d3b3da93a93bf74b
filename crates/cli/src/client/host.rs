//! Where the daemon is.

use std::path::PathBuf;

use super::Error;

/// The socket of a daemon that was started without `-H`.
pub(crate) const DEFAULT: &str = "unix:///run/wharf/wharf.sock";

/// Where the daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// `unix://`.
    Unix(PathBuf),
    /// `tcp://`: host and port.
    Tcp(String),
}

impl Host {
    /// Reads what `-H` takes.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Err(Error::Host(why.to_owned()));
        let (scheme, rest) = match text.split_once("://") {
            Some(parts) => parts,
            None if text.starts_with('/') => ("unix", text),
            None => ("tcp", text),
        };
        match scheme {
            "unix" => Ok(Self::Unix(PathBuf::from(if rest.is_empty() {
                DEFAULT.trim_start_matches("unix://")
            } else {
                rest
            }))),
            "tcp" | "http" => {
                let address = rest.split('/').next().unwrap_or_default();
                let (name, port) = match address.rsplit_once(':') {
                    Some((name, port)) if !port.contains(']') => (name, port),
                    _ => (address, "2375"),
                };
                if port.parse::<u16>().is_err() {
                    return bad(&format!(
                        "invalid bind address ({text}): invalid port {port}"
                    ));
                }
                let name = if name.is_empty() { "127.0.0.1" } else { name };
                Ok(Self::Tcp(format!("{name}:{port}")))
            }
            "ssh" | "https" | "npipe" | "fd" => bad(&format!(
                "{scheme}:// is not supported by wharf yet: use unix:// or tcp:// (given: {text})"
            )),
            _ => bad(&format!(
                "invalid bind address ({text}): unsupported proto '{scheme}': use unix:// or tcp://"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read() {
        assert_eq!(
            Host::parse("unix:///a/b").unwrap(),
            Host::Unix("/a/b".into())
        );
        assert_eq!(Host::parse("tcp://h:1").unwrap(), Host::Tcp("h:1".into()));
        assert_eq!(
            Host::parse("tcp://[::1]").unwrap(),
            Host::Tcp("[::1]:2375".into())
        );
        assert_eq!(Host::parse("h").unwrap(), Host::Tcp("h:2375".into()));
        assert!(
            Host::parse("ssh://me@h")
                .unwrap_err()
                .to_string()
                .contains("ssh://")
        );
        assert!(Host::parse("tcp://h:x").is_err() && Host::parse("foo://x").is_err());
    }
}
