//! Speaking to registries: where they are, how far they are trusted, and over what.

mod answer;
mod auth;
mod certificates;
mod insecure;
mod places;
mod requests;
mod session;
mod stream;
mod token;
mod tokens;
mod trust;
mod upload;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use types::image::RegistryAuth;
use types::reference::{DEFAULT_DOMAIN, Reference};

use crate::error::{Error, Result};
use crate::store::Options;

pub(crate) use answer::{Retry, told};
pub(crate) use session::{Session, back_off};
pub(crate) use upload::{Begun, Source};

use certificates::Certificates;
use insecure::Insecure;
use places::{INDEX, Mirror, Place};
use tokens::Tokens;

/// How long an answer may pause.
const ANSWER: Duration = Duration::from_secs(60);

/// All that is kept between pulls. Clients are made when first needed: reading the system's
/// certificates costs time and memory that an idle daemon need not spend.
#[derive(Debug)]
pub(crate) struct Registries {
    live: RwLock<Live>,
    elsewhere: BTreeMap<String, String>,
    tokens: Arc<Tokens>,
    certs_dir: Option<PathBuf>,
    /// Clients without certificates of their own, by what they are for and whether insecure.
    clients: [[OnceLock<reqwest::Client>; 2]; 2],
}

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talk {
    /// Questions: answers begin soon and do not pause for long.
    Ask,
    /// Sending: reqwest's limit for the answer counts the time that the sending takes, however well
    /// it goes on. Whoever sends watches that himself.
    Send,
}

/// What can change while the store is open.
#[derive(Debug, Clone)]
struct Live {
    insecure: Vec<Insecure>,
    mirrors: Vec<Mirror>,
}

impl Live {
    fn read(insecure: &[String], mirrors: &[String]) -> Result<Self> {
        let insecure = insecure.iter().map(|text| Insecure::parse(text));
        let mirrors = mirrors.iter().map(|text| Mirror::parse(text));
        Ok(Self {
            insecure: insecure.collect::<Result<_>>()?,
            mirrors: mirrors.collect::<Result<_>>()?,
        })
    }
}

/// Checks `--registry-mirror`; answers how it is shown.
///
/// # Errors
/// In dockerd's words.
pub fn check_mirror(text: &str) -> Result<String> {
    Ok(Mirror::parse(text)?.shown())
}

/// Checks `--insecure-registry`.
///
/// # Errors
/// When it is neither a host nor a network.
pub fn check_insecure(text: &str) -> Result<()> {
    Insecure::parse(text).map(drop)
}

impl Registries {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let live = Live::read(&options.insecure_registries, &options.registry_mirrors)?;
        Ok(Self {
            live: RwLock::new(live),
            elsewhere: options.elsewhere.clone(),
            tokens: Arc::default(),
            certs_dir: options.certs_dir.clone(),
            clients: Default::default(),
        })
    }

    /// Changes which registries may be spoken to without verified TLS, and the Hub's mirrors,
    /// for whatever begins from now on.
    pub(crate) fn change(&self, insecure: &[String], mirrors: &[String]) -> Result<()> {
        let live = Live::read(insecure, mirrors)?;
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
        Ok(())
    }

    fn live(&self) -> Live {
        self.live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether verified TLS is not asked of this registry.
    pub(crate) fn is_insecure(&self, domain: &str) -> bool {
        insecure::address(domain).is_some_and(|address| address.is_loopback())
            || self.live().insecure.iter().any(|one| one.covers(domain))
    }

    /// A client that shows nobody who this host is.
    pub(crate) fn plain_client(&self, domain: &str) -> Result<reqwest::Client> {
        let certificates = certificates::of(self.certs_dir.as_deref(), domain)?;
        let certificates = certificates.and_then(Certificates::authorities_only);
        self.client_with(certificates, Talk::Ask, false, domain)
    }

    fn client(&self, talk: Talk, insecure: bool, domain: &str) -> Result<reqwest::Client> {
        let certificates = certificates::of(self.certs_dir.as_deref(), domain)?;
        self.client_with(certificates, talk, insecure, domain)
    }

    fn client_with(
        &self,
        certificates: Option<Certificates>,
        talk: Talk,
        insecure: bool,
        domain: &str,
    ) -> Result<reqwest::Client> {
        let kept = &self.clients[usize::from(talk == Talk::Send)][usize::from(insecure)];
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
            .pool_idle_timeout(Duration::from_secs(15));
        let builder = match talk {
            Talk::Ask => builder.read_timeout(ANSWER),
            Talk::Send => builder,
        };
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

    /// Begins to speak to a reference's registry, which need not have verified TLS where `insecure`.
    pub(crate) fn session_as(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
        insecure: bool,
    ) -> Result<Session> {
        self.conversation(reference, auth, insecure)
    }

    /// Begins to speak to those who may have a reference's image, the first one first: the Hub's
    /// mirrors come before it. They are no places for its users' credentials.
    pub(crate) fn pulling(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
        insecure: bool,
    ) -> Result<Vec<Arc<Session>>> {
        let mut all = Vec::new();
        if reference.domain() == DEFAULT_DOMAIN {
            for mirror in self.live().mirrors {
                let mut place = mirror.place();
                place.insecure |= self.is_insecure(&place.host);
                all.push(Arc::new(self.at(place, reference, None)?));
            }
        }
        all.push(Arc::new(self.conversation(reference, auth, insecure)?));
        Ok(all)
    }

    /// The same, to be changed before it begins.
    fn conversation(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
        insecure: bool,
    ) -> Result<Session> {
        let domain = reference.domain();
        let insecure = insecure || self.is_insecure(domain);
        self.at(
            places::of(domain, &self.elsewhere, insecure)?,
            reference,
            auth,
        )
    }

    fn at(
        &self,
        place: Place,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
    ) -> Result<Session> {
        // What an administrator put down is for the name that images have.
        let name = if place.mirror {
            &place.host
        } else {
            reference.domain()
        };
        Ok(Session::new(
            self.client(Talk::Ask, place.insecure, name)?,
            self.client(Talk::Send, place.insecure, name)?,
            place,
            reference,
            auth::Credentials::of(auth)?,
            self.tokens.clone(),
        ))
    }

    /// Begins to write to a reference's repository, and to read from the repositories `from`.
    pub(crate) fn pushing(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
        from: &[String],
        insecure: bool,
    ) -> Result<Arc<Session>> {
        let mut session = self.conversation(reference, auth, insecure)?;
        session.scopes = vec![format!("repository:{}:pull,push", reference.path())];
        session
            .scopes
            .extend(from.iter().map(|path| format!("repository:{path}:pull")));
        Ok(Arc::new(session))
    }

    /// Begins to remove from a reference's repository.
    pub(crate) fn deleting(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
        insecure: bool,
    ) -> Result<Session> {
        let mut session = self.conversation(reference, auth, insecure)?;
        session.scopes = vec![format!("repository:{}:pull,delete", reference.path())];
        Ok(session)
    }

    /// Begins to ask a registry about itself: `reference` is any on it.
    pub(crate) fn asking(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
        offline: bool,
    ) -> Result<Session> {
        let mut session = self.conversation(reference, auth, false)?;
        session.scopes.clear();
        session.offline = offline;
        Ok(session)
    }

    /// Begins to ask the Hub's index, which is not where its images are.
    pub(crate) fn asking_index(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
    ) -> Result<Session> {
        let place = places::of(INDEX, &self.elsewhere, false)?;
        let mut session = self.at(place, reference, auth)?;
        session.scopes.clear();
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
