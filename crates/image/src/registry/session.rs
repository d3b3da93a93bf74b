//! One pull's conversation with one registry.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION, RANGE, WWW_AUTHENTICATE,
};
use reqwest::{Client, Method, Response, StatusCode, Url};
use types::reference::Reference;

use super::answer::{Attempt, Retry, without_query};
use super::auth::{Credentials, challenge};
use super::places::Place;
use super::stream::BlobStream;
use super::tokens::Tokens;
use super::watch::{SILENCE, watched};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

pub(super) const MAX_REDIRECTS: usize = 10;
pub(super) const ATTEMPTS: u32 = 5;

/// A registry, a repository in it, and who asks.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) client: Client,
    /// The one that sends content.
    sender: Client,
    pub(super) host: String,
    pub(super) insecure: bool,
    /// Whether it stands in for the Hub.
    pub(crate) mirror: bool,
    pub(super) reference: Reference,
    pub(super) credentials: Credentials,
    pub(super) state: Mutex<Known>,
    pub(super) tokens: Arc<Tokens>,
    /// Only one asks for a token at a time.
    pub(super) asking: tokio::sync::Mutex<()>,
    /// What a token is asked for beside what the registry names.
    pub(super) scopes: Vec<String>,
    /// Whether a token that stands for the password is wanted, for later.
    pub(super) offline: bool,
    /// Uploads that are begun and not finished.
    pub(super) open: Mutex<Vec<Url>>,
    /// Repositories that nothing can be taken from.
    pub(super) unmountable: Mutex<HashSet<String>>,
}

/// What is sent with a request; can be sent again.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    None,
    Bytes(Bytes),
    File(super::upload::Source),
}

#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// `https` or `http`, once one has answered, or where there is no choice.
    pub(super) scheme: Option<&'static str>,
    /// Whether it has ever answered.
    pub(super) answered: bool,
    /// The header that the registry last asked for.
    pub(super) authorization: Option<String>,
    /// What a token server gave in place of a password.
    pub(super) refresh: Option<String>,
}

/// A manifest or index as it came.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: Option<String>,
}

/// How long to wait before the n-th further attempt.
pub(crate) fn back_off(attempt: u32) -> Duration {
    Duration::from_millis(250).saturating_mul(1 << attempt.min(5))
}

impl Session {
    pub(super) fn new(
        client: Client,
        sender: Client,
        place: Place,
        reference: &Reference,
        credentials: Credentials,
        tokens: Arc<Tokens>,
    ) -> Self {
        let authorization = credentials
            .registry_token
            .as_ref()
            .map(|t| format!("Bearer {t}"));
        Self {
            client,
            sender,
            host: place.host,
            insecure: place.insecure,
            mirror: place.mirror,
            tokens,
            reference: reference.clone(),
            credentials,
            state: Mutex::new(Known {
                scheme: place.scheme,
                answered: false,
                authorization,
                refresh: None,
            }),
            asking: tokio::sync::Mutex::new(()),
            scopes: vec![format!("repository:{}:pull", reference.path())],
            offline: false,
            open: Mutex::new(Vec::new()),
            unmountable: Mutex::default(),
        }
    }

    /// A manifest or index by tag or digest.
    pub(crate) async fn manifest(&self, which: &str, limit: u64) -> Result<Fetched> {
        let path = format!("manifests/{which}");
        let accept = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
        self.persist(|| async {
            let mut headers = HeaderMap::new();
            if let Ok(accept) = accept.parse() {
                headers.insert(ACCEPT, accept);
            }
            let response = self.get(&path, headers).await?;
            let content_type = response
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned);
            let bytes = self.read_limited(response, limit).await?;
            Ok(Fetched {
                bytes,
                content_type,
            })
        })
        .await
    }

    /// A small blob as a whole; its digest is checked.
    pub(crate) async fn small_blob(&self, digest: &Digest, size: u64) -> Result<Vec<u8>> {
        let path = format!("blobs/{digest}");
        self.persist(|| async {
            let response = self.get(&path, HeaderMap::new()).await?;
            let bytes = self.read_limited(response, size).await?;
            let what = format!("blob {digest}");
            if bytes.len() as u64 != size {
                let actual = bytes.len() as u64;
                return Err(Attempt::last(Error::Size {
                    what,
                    expected: size,
                    actual,
                }));
            }
            let actual = Digest::of(&bytes);
            if actual != *digest {
                let (expected, actual) = (digest.to_string(), actual.to_string());
                return Err(Attempt::last(Error::Digest {
                    what,
                    expected,
                    actual,
                }));
            }
            Ok(bytes)
        })
        .await
    }

    /// A blob's bytes from `offset` on. One attempt: the caller knows what has arrived so far.
    pub(crate) async fn blob(&self, digest: &Digest, offset: u64) -> Result<BlobStream, Retry> {
        let mut headers = HeaderMap::new();
        if offset > 0
            && let Ok(range) = format!("bytes={offset}-").parse()
        {
            headers.insert(RANGE, range);
        }
        match self.get(&format!("blobs/{digest}"), headers).await {
            Ok(response) => {
                let partial = response.status() == StatusCode::PARTIAL_CONTENT;
                // A registry that does not resume begins anew; what is here already is skipped.
                Ok(BlobStream {
                    response,
                    skip: if partial { 0 } else { offset },
                })
            }
            Err(attempt) => Err(Retry {
                error: attempt.error,
                again: attempt.again,
                after: attempt.after,
            }),
        }
    }

    /// Asks until it is answered, or asking again is of no use.
    pub(super) async fn persist<T, F>(&self, once: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Attempt>> + Send,
    {
        let mut attempt = 0;
        loop {
            match once().await {
                Ok(done) => return Ok(done),
                Err(failed) if !failed.again || failed.unreachable || attempt + 1 >= ATTEMPTS => {
                    return Err(failed.error);
                }
                Err(failed) => {
                    tracing::debug!(error = %failed.error, attempt, "registry is asked again");
                    tokio::time::sleep(failed.after.unwrap_or(back_off(attempt))).await;
                    attempt += 1;
                }
            }
        }
    }

    pub(super) fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn url(&self, scheme: &str, path: &str) -> Result<Url, Attempt> {
        let text = format!("{scheme}://{}/{path}", self.host);
        Url::parse(&text).map_err(|e| Attempt::last(self.failed(&text, &e.to_string())))
    }

    pub(super) fn failed(&self, what: &str, detail: &str) -> Error {
        Error::Registry {
            registry: format!("Get \"{what}\""),
            detail: detail.to_owned(),
        }
    }

    /// An answer of success to a request below the repository.
    async fn get(&self, path: &str, headers: HeaderMap) -> Result<Response, Attempt> {
        let path = format!("v2/{}/{path}", self.reference.path());
        let (url, response) = self
            .at(Method::GET, &path, &headers, &Content::None)
            .await?;
        self.accept(&url, response).await
    }

    /// An answer, whatever it is, to a request below the host; encrypted where that is possible.
    pub(super) async fn at(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        content: &Content,
    ) -> Result<(Url, Response), Attempt> {
        let known = self.known().scheme;
        let schemes: &[&str] = match known {
            Some("http") => &["http"],
            None if self.insecure => &["https", "http"],
            _ => &["https"],
        };
        let mut last = None;
        for scheme in schemes {
            let url = self.url(scheme, path)?;
            match self.ask(method.clone(), &url, headers, content).await {
                // Not a TLS server, or none at all: plain HTTP may be tried where it is allowed.
                Err(failed) if failed.again && self.known().scheme.is_none() => last = Some(failed),
                answer => return answer.map(|response| (url, response)),
            }
        }
        Err(last.unwrap_or_else(|| Attempt::last(self.failed(path, "no way to reach it"))))
    }

    /// Sends a request, with the authorization that the registry asks for.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: &HeaderMap,
        content: &Content,
    ) -> Result<Response, Attempt> {
        let mut used = self.known().authorization.clone();
        let mut response = self
            .send(&method, url, headers, content, used.as_deref())
            .await?;
        let own = self.is_own(url);
        if own {
            let mut known = self.known();
            known.answered = true;
            known.scheme = Some(if url.scheme() == "http" {
                "http"
            } else {
                "https"
            });
        }
        // What was kept from before may have ended meanwhile: then it is got anew, once.
        for _ in 0..2 {
            // Whoever the registry sent us to may not ask for its credentials (GO-2022-0803).
            if response.status() != StatusCode::UNAUTHORIZED
                || response.url().origin() != url.origin()
                || !own
            {
                break;
            }
            let asked = challenge(
                response
                    .headers()
                    .get_all(WWW_AUTHENTICATE)
                    .iter()
                    .filter_map(|v| v.to_str().ok()),
            );
            let Some(asked) = asked else { break };
            let fresh = self.authorize(url, asked, used.as_deref()).await?;
            if Some(&fresh.header) == used.as_ref() {
                break;
            }
            drop(response);
            response = self
                .send(&method, url, headers, content, Some(&fresh.header))
                .await?;
            used = Some(fresh.header);
            if !fresh.kept {
                break;
            }
        }
        Ok(response)
    }

    /// Whether `url` is the registry itself, not less protected than it has been so far.
    fn is_own(&self, url: &Url) -> bool {
        let scheme = self.known().scheme.unwrap_or(url.scheme());
        self.url(scheme, "")
            .is_ok_and(|own| own.origin() == url.origin())
    }

    /// Sends a request and follows redirections. The authorization goes to the registry's own
    /// host only, and never from an encrypted connection to an open one (GO-2022-0803).
    async fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        content: &Content,
        authorization: Option<&str>,
    ) -> Result<Response, Attempt> {
        let mut at = url.clone();
        let follows = *method == Method::GET || *method == Method::HEAD;
        for _ in 0..MAX_REDIRECTS {
            let sends = matches!(*method, Method::PATCH | Method::PUT);
            let client = if sends { &self.sender } else { &self.client };
            let mut request = client
                .request(method.clone(), at.clone())
                .headers(headers.clone());
            request = match content {
                Content::None => request,
                Content::Bytes(bytes) => request.body(bytes.clone()),
                Content::File(source) => source.body(request).await.map_err(Attempt::last)?,
            };
            if let Some(authorization) = authorization
                && at.origin() == url.origin()
                && self.is_own(url)
            {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = if sends {
                let sent = || match content {
                    Content::File(source) => source.sent.load(Ordering::Relaxed),
                    _ => 0,
                };
                watched(request.send(), sent, SILENCE)
                    .await
                    .ok_or_else(|| self.silent(&at, SILENCE))?
            } else {
                request.send().await
            };
            let response = response.map_err(|e| self.broken(&at, &e))?;
            if !follows || !response.status().is_redirection() {
                return Ok(response);
            }
            let next = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| at.join(value).ok());
            let Some(next) = next else {
                return Err(Attempt::last(
                    self.failed(&without_query(&at), "redirects to nowhere"),
                ));
            };
            let open = next.scheme() != "https" && !(next.scheme() == "http" && self.insecure);
            if open {
                let detail = format!("redirects to {}, which is not https", without_query(&next));
                return Err(Attempt::last(self.failed(&without_query(&at), &detail)));
            }
            at = next;
        }
        Err(Attempt::last(
            self.failed(&without_query(url), "redirects too often"),
        ))
    }
}
