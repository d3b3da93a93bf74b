//! Where the daemon is.

use std::path::PathBuf;

use super::{Error, ssh::Ssh};

/// The socket of a daemon that was started without `-H`.
pub(crate) const DEFAULT: &str = "unix:///run/wharf/wharf.sock";

/// Where the daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// `unix://`.
    Unix(PathBuf),
    /// `tcp://`: host and port.
    Tcp(String),
    /// `ssh://`.
    Ssh(Ssh),
}

impl Host {
    /// Reads what `-H` takes; with `tls` another port is the usual one.
    pub(crate) fn parse(text: &str, tls: bool) -> Result<Self, Error> {
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
            "ssh" => Ssh::parse(rest).map(Self::Ssh).map_err(Error::Host),
            "tcp" | "http" => {
                let address = rest.split('/').next().unwrap_or_default();
                let (name, port) = match address.rsplit_once(':') {
                    Some((name, port)) if !port.contains(']') => (name, port),
                    _ => (address, if tls { "2376" } else { "2375" }),
                };
                if port.parse::<u16>().is_err() {
                    return bad(&format!(
                        "invalid bind address ({text}): invalid port {port}"
                    ));
                }
                let name = if name.is_empty() { "127.0.0.1" } else { name };
                Ok(Self::Tcp(format!("{name}:{port}")))
            }
            "https" | "npipe" | "fd" => bad(&format!(
                "{scheme}:// is not supported by wharf: use unix://, tcp:// or ssh:// (given: {text})"
            )),
            _ => bad(&format!(
                "unable to resolve docker endpoint: invalid bind address format: {text}: use unix://, tcp:// or ssh://"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Host, Error> {
        Host::parse(text, false)
    }

    #[test]
    fn hosts_are_read() {
        assert_eq!(parse("unix:///a/b").unwrap(), Host::Unix("/a/b".into()));
        assert_eq!(parse("tcp://h:1").unwrap(), Host::Tcp("h:1".into()));
        assert_eq!(
            parse("tcp://[::1]").unwrap(),
            Host::Tcp("[::1]:2375".into())
        );
        assert_eq!(parse("h").unwrap(), Host::Tcp("h:2375".into()));
        assert!(matches!(parse("ssh://me@h").unwrap(), Host::Ssh(_)));
        assert!(parse("tcp://h:x").is_err() && parse("foo://x").is_err());
        let secured = Host::parse("tcp://h", true).unwrap();
        assert_eq!(secured, Host::Tcp("h:2376".into()));
    }
}
