//! Where registries are: most are where their names say, Docker Hub is not, and it may have
//! mirrors.

use std::collections::BTreeMap;

use reqwest::Url;
use types::reference::DEFAULT_DOMAIN;

use crate::error::{Error, Result};

/// Where `docker.io` really is.
const HUB: &str = "registry-1.docker.io";
/// Where it can be searched.
pub(super) const INDEX: &str = "index.docker.io";

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Host and port.
    pub(super) host: String,
    /// The only scheme there is; otherwise it is found out.
    pub(super) scheme: Option<&'static str>,
    /// Whether it need not have verified TLS.
    pub(super) insecure: bool,
    /// Whether it only stands in for another registry: it gets nobody's credentials.
    pub(super) mirror: bool,
}

/// A registry that has what Docker Hub has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror(Place);

impl Mirror {
    /// Reads `--registry-mirror`, with dockerd's refusals.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid = |why: String| Err(Error::Invalid(format!("invalid mirror: {why}")));
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(e) => return invalid(format!("{text:?} is not a valid URI: {e}")),
        };
        let scheme = match url.scheme() {
            "https" => "https",
            "http" => "http",
            other => return invalid(format!("unsupported scheme {other:?} in {text:?}")),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return invalid(format!(
                "path, query, or fragment at end of the URI {text:?}"
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let mut shown = url.clone();
            let _ = shown.set_password(Some("xxxxx"));
            return invalid(format!(
                "username/password not allowed in URI {:?}",
                shown.as_str()
            ));
        }
        Ok(Self(Place {
            host: host(&url),
            scheme: Some(scheme),
            insecure: scheme == "http",
            mirror: true,
        }))
    }

    /// As `docker info` shows it.
    pub(super) fn shown(&self) -> String {
        format!("{}://{}/", self.0.scheme.unwrap_or("https"), self.0.host)
    }

    pub(super) fn place(&self) -> Place {
        self.0.clone()
    }
}

/// Host and port as they stand in an address.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Where the registry `domain` is. `elsewhere` comes first; `insecure` is what is known of it.
pub(super) fn of(
    domain: &str,
    elsewhere: &BTreeMap<String, String>,
    insecure: bool,
) -> Result<Place> {
    if let Some(text) = elsewhere.get(domain) {
        let url = Url::parse(text).map_err(|e| Error::Invalid(format!("place {text}: {e}")))?;
        let open = url.scheme() == "http";
        return Ok(Place {
            host: host(&url),
            scheme: Some(if open { "http" } else { "https" }),
            insecure: insecure || open,
            mirror: false,
        });
    }
    Ok(Place {
        host: if domain == DEFAULT_DOMAIN {
            HUB
        } else {
            domain
        }
        .to_owned(),
        scheme: None,
        insecure,
        mirror: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_read_as_dockerd_reads_them() {
        for (given, shown) in [
            ("https://mirror.lan", "https://mirror.lan/"),
            ("http://mirror.lan:5000/", "http://mirror.lan:5000/"),
            ("https://[fd00::1]:5000", "https://[fd00::1]:5000/"),
        ] {
            assert_eq!(Mirror::parse(given).unwrap().shown(), shown);
        }
        for (given, why) in [
            ("mirror.lan", "is not a valid URI"),
            ("ftp://mirror.lan", "unsupported scheme \"ftp\""),
            ("https://mirror.lan/v2/", "path, query, or fragment"),
            ("https://mirror.lan/?x", "path, query, or fragment"),
            ("https://mirror.lan/#x", "path, query, or fragment"),
            (
                "https://me:secret@mirror.lan",
                "username/password not allowed",
            ),
        ] {
            let error = Mirror::parse(given).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_hub_is_elsewhere_than_its_name_says() {
        let none = BTreeMap::new();
        assert_eq!(of("docker.io", &none, false).unwrap().host, HUB);
        assert_eq!(of("ghcr.io", &none, false).unwrap().host, "ghcr.io");
    }
}
