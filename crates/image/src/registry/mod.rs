//! Speaking to registries: where they are, how far they are trusted, and over what.

mod answer;
mod auth;
mod certificates;
mod requests;
mod session;
mod token;
mod trust;
mod upload;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use types::reference::{DEFAULT_DOMAIN, Reference};

use crate::error::{Error, Result};
use crate::store::Options;

pub(crate) use answer::{Retry, told};
pub(crate) use session::{Session, back_off};
pub(crate) use upload::{Begun, Source};

/// Where `docker.io` really is.
const HUB: &str = "registry-1.docker.io";
/// Where it can be searched.
const INDEX: &str = "index.docker.io";

/// All that is kept between pulls. Clients are made when first needed: reading the system's
/// certificates costs time and memory that an idle daemon need not spend.
#[derive(Debug)]
pub(crate) struct Registries {
    insecure: Vec<Insecure>,
    certs_dir: Option<PathBuf>,
    verified: OnceLock<reqwest::Client>,
    unverified: OnceLock<reqwest::Client>,
}

/// A registry that may be spoken to without verified TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Insecure {
    Host(String),
    Network(IpAddr, u8),
}

impl Insecure {
    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some((address, bits)) = text.split_once('/') {
            let network = address.parse::<IpAddr>().ok().zip(bits.parse::<u8>().ok());
            let fits =
                |(address, bits): &(IpAddr, u8)| *bits <= if address.is_ipv4() { 32 } else { 128 };
            if let Some((address, bits)) = network.filter(fits) {
                return Ok(Self::Network(address, bits));
            }
        } else if !text.is_empty()
            && Reference::parse(&format!("{text}/a")).is_ok_and(|r| r.domain() == text)
        {
            return Ok(Self::Host(text.to_owned()));
        }
        Err(Error::Invalid(format!(
            "insecure registry {text:?} is not valid: write host[:port] without a scheme, or a \
             network such as 10.0.0.0/8"
        )))
    }

    fn covers(&self, domain: &str) -> bool {
        match self {
            Self::Host(host) => host == domain,
            Self::Network(network, bits) => {
                address(domain).is_some_and(|address| in_network(address, *network, *bits))
            }
        }
    }
}

/// The address in `host[:port]`, when it is one.
fn address(domain: &str) -> Option<IpAddr> {
    if let Some(rest) = domain.strip_prefix('[') {
        return rest.split(']').next()?.parse().ok();
    }
    let host = domain.split(':').next()?;
    if host == "localhost" {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    host.parse().ok()
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shifted = |value: u128, width: u32| {
        value
            .checked_shr(width.saturating_sub(u32::from(bits)))
            .unwrap_or(0)
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            shifted(u32::from(a).into(), 32) == shifted(u32::from(n).into(), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => shifted(a.into(), 128) == shifted(n.into(), 128),
        _ => false,
    }
}

impl Registries {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let insecure = options
            .insecure_registries
            .iter()
            .map(|text| Insecure::parse(text))
            .collect::<Result<_>>()?;
        Ok(Self {
            insecure,
            certs_dir: options.certs_dir.clone(),
            verified: OnceLock::new(),
            unverified: OnceLock::new(),
        })
    }

    /// Whether verified TLS is not asked of this registry.
    pub(crate) fn is_insecure(&self, domain: &str) -> bool {
        address(domain).is_some_and(|address| address.is_loopback())
            || self.insecure.iter().any(|insecure| insecure.covers(domain))
    }

    /// A client that sends nobody's credentials.
    pub(crate) fn plain_client(&self, domain: &str) -> Result<reqwest::Client> {
        self.client(false, domain)
    }

    fn client(&self, insecure: bool, domain: &str) -> Result<reqwest::Client> {
        let certificates = certificates::of(self.certs_dir.as_deref(), domain)?;
        let kept = if insecure {
            &self.unverified
        } else {
            &self.verified
        };
        if certificates.is_none()
            && let Some(client) = kept.get()
        {
            return Ok(client.clone());
        }
        // Fails only when somebody chose a provider before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
            // Followed by hand, because credentials must not follow to another host.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(Duration::from_secs(60))
            .pool_idle_timeout(Duration::from_secs(15));
        let own = certificates.is_some();
        let builder = match certificates {
            Some(certificates) => builder.tls_backend_preconfigured(certificates.config(insecure)?),
            None => builder.tls_danger_accept_invalid_certs(insecure),
        };
        let client = builder.build().map_err(|e| Error::Registry {
            registry: domain.to_owned(),
            detail: format!("cannot set up TLS: {}", answer::chain(&e)),
        })?;
        if !own {
            let _ = kept.set(client.clone());
        }
        Ok(client)
    }

    /// Begins to speak to a reference's registry.
    pub(crate) fn session(
        self: &Registries,
        reference: &Reference,
        auth: Option<&types::image::RegistryAuth>,
    ) -> Result<Arc<Session>> {
        Ok(Arc::new(self.conversation(reference, auth)?))
    }

    /// The same, to be changed before it begins.
    fn conversation(
        &self,
        reference: &Reference,
        auth: Option<&types::image::RegistryAuth>,
    ) -> Result<Session> {
        let domain = reference.domain();
        let insecure = self.is_insecure(domain);
        let host = if domain == DEFAULT_DOMAIN {
            HUB
        } else {
            domain
        };
        Ok(Session::new(
            self.client(insecure, domain)?,
            host,
            insecure,
            reference,
            auth::Credentials::of(auth)?,
        ))
    }

    /// Begins to write to a reference's repository, and to read from the repositories `from`.
    pub(crate) fn pushing(
        &self,
        reference: &Reference,
        auth: Option<&types::image::RegistryAuth>,
        from: &[String],
    ) -> Result<Arc<Session>> {
        let mut session = self.conversation(reference, auth)?;
        session.scopes = vec![format!("repository:{}:pull,push", reference.path())];
        session
            .scopes
            .extend(from.iter().map(|path| format!("repository:{path}:pull")));
        Ok(Arc::new(session))
    }

    /// Begins to ask a registry about itself: `reference` is any on it.
    pub(crate) fn asking(
        &self,
        reference: &Reference,
        auth: Option<&types::image::RegistryAuth>,
        offline: bool,
    ) -> Result<Session> {
        let mut session = self.conversation(reference, auth)?;
        session.scopes.clear();
        session.offline = offline;
        Ok(session)
    }

    /// Begins to ask the Hub's index, which is not where its images are.
    pub(crate) fn asking_index(
        &self,
        reference: &Reference,
        auth: Option<&types::image::RegistryAuth>,
    ) -> Result<Session> {
        let mut session = self.asking(reference, auth, false)?;
        INDEX.clone_into(&mut session.host);
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registries(insecure: &[&str]) -> Registries {
        let insecure_registries = insecure.iter().map(|text| (*text).to_owned()).collect();
        Registries::new(&Options {
            insecure_registries,
            ..Options::default()
        })
        .unwrap()
    }

    #[test]
    fn loopback_and_listed_registries_are_insecure() {
        let some = registries(&["reg.lan:5000", "10.1.0.0/16", "fd00::/8"]);
        for domain in [
            "127.0.0.1:5000",
            "127.9.9.9",
            "localhost:5000",
            "[::1]:5000",
            "reg.lan:5000",
            "10.1.2.3:5000",
            "[fd00::1]:5000",
        ] {
            assert!(some.is_insecure(domain), "{domain}");
        }
        for domain in [
            "docker.io",
            "reg.lan",
            "10.2.0.1:5000",
            "128.0.0.1",
            "localhost.evil.com",
        ] {
            assert!(!some.is_insecure(domain), "{domain}");
        }
    }

    #[test]
    fn malformed_entries_are_refused() {
        for bad in ["http://a", "a/b", "10.0.0.0/33", "", "a b"] {
            let options = Options {
                insecure_registries: vec![bad.to_owned()],
                ..Options::default()
            };
            assert!(Registries::new(&options).is_err(), "{bad}");
        }
    }
}
