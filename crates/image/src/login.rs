//! What registries are asked beside images: whether they know a user, what an image is there,
//! what they have.

use serde::Deserialize;
use types::image::{RegistryAuth, SearchResult};
use types::reference::{DEFAULT_DOMAIN, Reference};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{self, Descriptor, Document, MAX_CONFIG, MAX_MANIFEST};
use crate::platform::Platform;
use crate::registry::Session;
use crate::remote::Access;
use crate::store::{Store, parse_config};

/// What a reference stands for in its registry.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Its length.
    pub size: u64,
    /// For what it is.
    pub platforms: Vec<Platform>,
}

/// Which results of a search are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchFilters {
    /// Official ones, or only others.
    pub official: Option<bool>,
    /// With so many stars or more.
    pub stars: i64,
}

/// Results of a search.
pub type Found = Vec<SearchResult>;

/// Any image of the registry that `server` names: a host, or an address such as
/// `https://index.docker.io/v1/`.
fn any_on(server: &str) -> Result<Reference> {
    let host = server
        .strip_prefix("https://")
        .or_else(|| server.strip_prefix("http://"))
        .unwrap_or(server);
    let host = host.split('/').next().unwrap_or_default();
    let host = match host {
        "" | "index.docker.io" | "registry-1.docker.io" => DEFAULT_DOMAIN,
        host => host,
    };
    let any = Reference::parse(&format!("{host}/library/any"))?;
    if any.domain() != host {
        return Err(Error::Invalid(format!(
            "invalid registry address {server:?}: write host[:port]"
        )));
    }
    Ok(any)
}

/// What a reference stands for at one of those who may have it.
async fn distribution_from(session: &Session, reference: &Reference) -> Result<Distribution> {
    let which = reference.digest().or(reference.tag()).unwrap_or_default();
    let fetched = session.manifest(which, MAX_MANIFEST).await?;
    let digest = Digest::of(&fetched.bytes);
    let what = format!("manifest of {}", reference.familiar());
    if let Some(wanted) = reference.digest()
        && wanted != digest.to_string()
    {
        return Err(Error::Digest {
            what,
            expected: wanted.to_owned(),
            actual: digest.to_string(),
        });
    }
    let sent_as = fetched.content_type.as_deref();
    let (own, platforms) = match manifest::parse(&what, &fetched.bytes, sent_as)? {
        Document::Index(index) => {
            let entries = index.manifests.into_iter();
            (
                index.media_type,
                entries.filter_map(|e| e.platform).collect(),
            )
        }
        Document::Manifest(manifest) => {
            let Descriptor { digest, size, .. } = &manifest.config;
            if *size > MAX_CONFIG {
                return Err(Error::bad_manifest(what, "its configuration is too large"));
            }
            let bytes = session.small_blob(digest, *size).await?;
            let config = parse_config(digest, &bytes)?;
            let platform = Platform {
                os: config.os,
                architecture: config.architecture,
                variant: config.variant,
            };
            (manifest.media_type, vec![platform])
        }
    };
    let media_type = if own.is_empty() {
        sent_as.unwrap_or_default().to_owned()
    } else {
        own
    };
    Ok(Distribution {
        media_type,
        digest: digest.to_string(),
        size: fetched.bytes.len() as u64,
        platforms,
    })
}

impl Store {
    /// Checks credentials at the registry that they are for. Answers the token that the registry
    /// gives in place of the password, if it does.
    ///
    /// # Errors
    /// In Docker's words.
    pub async fn login(&self, auth: &RegistryAuth) -> Result<Option<String>> {
        let any = any_on(&auth.serveraddress)?;
        let session = self.0.registries.asking(&any, Some(auth), true)?;
        session.login().await
    }

    /// What a reference stands for in its registry; nothing is fetched but documents.
    ///
    /// # Errors
    /// In Docker's words.
    pub async fn distribution(
        &self,
        reference: &Reference,
        auth: Option<&RegistryAuth>,
    ) -> Result<Distribution> {
        let reference = reference.clone().with_default_tag();
        let access = Access {
            auth,
            insecure: false,
        };
        let reference = &reference;
        self.ask(reference, access, |session| async move {
            distribution_from(&session, reference).await
        })
        .await
    }

    /// Images whose names have `term` in them: on the Hub, or on the registry that `term` begins
    /// with.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub async fn search(
        &self,
        term: &str,
        limit: usize,
        filters: SearchFilters,
        auth: Option<&RegistryAuth>,
    ) -> Result<Found> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            results: Vec<SearchResult>,
        }
        if term.is_empty() || term.contains("://") {
            return Err(Error::Invalid(format!(
                "invalid repository name: repository name ({term}) must be host[:port]/name or name"
            )));
        }
        let (host, rest) = match term.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
            _ => (DEFAULT_DOMAIN, term),
        };
        let any = any_on(host)?;
        let mut found = if any.domain() == DEFAULT_DOMAIN {
            let session = self.0.registries.asking_index(&any, auth)?;
            let mut query =
                reqwest::Url::parse("http://form/").map_err(|e| Error::Invalid(e.to_string()))?;
            query
                .query_pairs_mut()
                .append_pair("q", rest)
                .append_pair("n", &limit.to_string());
            let path = format!("v1/search?{}", query.query().unwrap_or_default());
            let (bytes, _) = session.document(&path).await?;
            let answer: Answer = serde_json::from_slice(&bytes).map_err(|e| Error::Registry {
                registry: format!("Get \"{path}\""),
                detail: format!("its results cannot be read: {e}"),
            })?;
            answer.results
        } else {
            let session = self.0.registries.asking(&any, auth, false)?;
            let names = session.catalogue(rest, limit).await?;
            let results = names.into_iter().map(|name| SearchResult {
                name: format!("{host}/{name}"),
                ..SearchResult::default()
            });
            results.collect()
        };
        found.retain(|one| {
            filters.official.is_none_or(|o| o == one.is_official) && one.star_count >= filters.stars
        });
        found.truncate(limit);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_registries_are_read() {
        for (server, domain) in [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("reg.lan:5000", "reg.lan:5000"),
            ("http://127.0.0.1:5000/v2/", "127.0.0.1:5000"),
        ] {
            assert_eq!(any_on(server).unwrap().domain(), domain, "{server}");
        }
        for bad in ["a b", "under_score", "x y:1"] {
            assert!(any_on(bad).is_err(), "{bad}");
        }
    }
}
