//! One pull's conversation with one registry.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Deserialize;
use types::reference::Reference;

use super::auth::{Challenge, Credentials, TokenAnswer, challenge};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

const MAX_REDIRECTS: usize = 10;
/// Longest error text or token answer that is read.
const MAX_ANSWER: u64 = 64 << 10;
const ATTEMPTS: u32 = 5;

/// A registry, a repository in it, and who asks.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    host: String,
    insecure: bool,
    reference: Reference,
    credentials: Credentials,
    state: Mutex<Known>,
    /// Only one asks for a token at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default, Clone)]
struct Known {
    /// `https` or `http`, once one has answered.
    scheme: Option<&'static str>,
    /// The header that the registry last asked for.
    authorization: Option<String>,
}

/// A manifest or index as it came.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: Option<String>,
}

/// A blob on its way.
#[derive(Debug)]
pub(crate) struct BlobStream {
    response: Response,
    /// Bytes at the beginning that were received before already.
    skip: u64,
}

/// A failed attempt: whether another may help, and when.
struct Attempt {
    error: Error,
    again: bool,
    after: Option<Duration>,
}

impl Attempt {
    fn last(error: Error) -> Self {
        Self {
            error,
            again: false,
            after: None,
        }
    }
}

/// An error with all its causes, which hold what really happened.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// How long to wait before the n-th further attempt.
pub(crate) fn back_off(attempt: u32) -> Duration {
    Duration::from_millis(250).saturating_mul(1 << attempt.min(5))
}

impl Session {
    pub(super) fn new(
        client: Client,
        host: &str,
        insecure: bool,
        reference: &Reference,
        credentials: Credentials,
    ) -> Self {
        let authorization = credentials
            .registry_token
            .as_ref()
            .map(|t| format!("Bearer {t}"));
        Self {
            client,
            host: host.to_owned(),
            insecure,
            reference: reference.clone(),
            credentials,
            state: Mutex::new(Known {
                scheme: None,
                authorization,
            }),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// A manifest or index by tag or digest.
    pub(crate) async fn manifest(&self, which: &str, limit: u64) -> Result<Fetched> {
        let path = format!("manifests/{which}");
        let accept = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
        self.persist(async || {
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
        self.persist(async || {
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

    async fn persist<T>(&self, once: impl AsyncFn() -> Result<T, Attempt>) -> Result<T> {
        let mut attempt = 0;
        loop {
            match once().await {
                Ok(done) => return Ok(done),
                Err(failed) if !failed.again || attempt + 1 >= ATTEMPTS => return Err(failed.error),
                Err(failed) => {
                    tracing::debug!(error = %failed.error, attempt, "registry is asked again");
                    tokio::time::sleep(failed.after.unwrap_or(back_off(attempt))).await;
                    attempt += 1;
                }
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn url(&self, scheme: &str, path: &str) -> Result<Url, Attempt> {
        let text = format!(
            "{scheme}://{}/v2/{}/{path}",
            self.host,
            self.reference.path()
        );
        Url::parse(&text).map_err(|e| Attempt::last(self.failed(&text, &e.to_string())))
    }

    fn failed(&self, what: &str, detail: &str) -> Error {
        Error::Registry {
            registry: format!("Get \"{what}\""),
            detail: detail.to_owned(),
        }
    }

    /// An answer of success to a request below the repository.
    async fn get(&self, path: &str, headers: HeaderMap) -> Result<Response, Attempt> {
        let known = self.known().scheme;
        let schemes: &[&str] = match known {
            Some("http") => &["http"],
            None if self.insecure => &["https", "http"],
            _ => &["https"],
        };
        let mut last = None;
        for scheme in schemes {
            let url = self.url(scheme, path)?;
            match self.get_authorized(&url, &headers).await {
                // Not a TLS server, or none at all: plain HTTP may be tried where it is allowed.
                Err(failed) if failed.again && self.known().scheme.is_none() => last = Some(failed),
                answer => return answer,
            }
        }
        Err(last.unwrap_or_else(|| Attempt::last(self.failed(path, "no way to reach it"))))
    }

    async fn get_authorized(&self, url: &Url, headers: &HeaderMap) -> Result<Response, Attempt> {
        let used = self.known().authorization.clone();
        let response = self.send(url, headers, used.as_deref()).await?;
        self.known().scheme = Some(if url.scheme() == "http" {
            "http"
        } else {
            "https"
        });
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.accept(url, response).await;
        }
        let asked = challenge(
            response
                .headers()
                .get_all(WWW_AUTHENTICATE)
                .iter()
                .filter_map(|v| v.to_str().ok()),
        );
        let Some(asked) = asked else {
            return self.accept(url, response).await;
        };
        let fresh = self.authorize(url, asked, used.as_deref()).await?;
        if Some(&fresh) == used.as_ref() {
            return self.accept(url, response).await;
        }
        drop(response);
        let response = self.send(url, headers, Some(&fresh)).await?;
        self.accept(url, response).await
    }

    /// Gets what the registry asks for. `used` is what it has just refused.
    async fn authorize(
        &self,
        url: &Url,
        asked: Challenge,
        used: Option<&str>,
    ) -> Result<String, Attempt> {
        let _one = self.asking.lock().await;
        let known = self.known().authorization.clone();
        if let Some(known) = known
            && Some(known.as_str()) != used
        {
            // Another request got it while this one waited.
            return Ok(known);
        }
        let header = match asked {
            Challenge::Basic => self.credentials.basic_header().ok_or_else(|| {
                Attempt::last(Error::Unauthorized {
                    registry: format!("Get \"{url}\""),
                    detail: "no basic auth credentials".to_owned(),
                })
            })?,
            Challenge::Bearer { .. } if self.credentials.registry_token.is_some() => {
                used.unwrap_or_default().to_owned()
            }
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => self.token(url, &realm, &service, scope).await?,
        };
        self.known().authorization = Some(header.clone());
        Ok(header)
    }

    async fn token(
        &self,
        registry: &Url,
        realm: &str,
        service: &str,
        scope: Option<String>,
    ) -> Result<String, Attempt> {
        let mut url = Url::parse(realm).map_err(|e| {
            Attempt::last(self.failed(registry.as_str(), &format!("token server {realm:?}: {e}")))
        })?;
        // Whoever may not be spoken to in the clear may not be told a password in the clear.
        if url.scheme() != "https" && !(url.scheme() == "http" && self.insecure) {
            return Err(Attempt::last(self.failed(
                registry.as_str(),
                &format!(
                    "its token server {realm} is not reached by https, so no credentials are sent"
                ),
            )));
        }
        let scope = scope.unwrap_or(format!("repository:{}:pull", self.reference.path()));
        let request = if let Some(refresh) = &self.credentials.identity_token {
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh),
                ("service", service),
                ("scope", &scope),
                ("client_id", "wharf"),
            ];
            let mut encoded = Url::parse("http://form/")
                .map_err(|e| Attempt::last(self.failed(realm, &e.to_string())))?;
            encoded.query_pairs_mut().extend_pairs(form);
            self.client
                .request(Method::POST, url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(encoded.query().unwrap_or_default().to_owned())
        } else {
            {
                let mut pairs = url.query_pairs_mut();
                if !service.is_empty() {
                    pairs.append_pair("service", service);
                }
                pairs.append_pair("scope", &scope);
                if let Some((user, _)) = &self.credentials.basic {
                    pairs.append_pair("account", user);
                }
            }
            let request = self.client.request(Method::GET, url.clone());
            match self.credentials.basic_header() {
                Some(basic) => request.header(AUTHORIZATION, basic),
                None => request,
            }
        };
        let response = request.send().await.map_err(|e| self.broken(&url, &e))?;
        let response = match self.accept(&url, response).await {
            Err(Attempt {
                error: Error::Registry { detail, .. },
                again: false,
                ..
            }) => {
                return Err(Attempt::last(Error::Unauthorized {
                    registry: format!("Get \"{}\"", without_query(&url)),
                    detail,
                }));
            }
            answer => answer?,
        };
        let bytes = self.read_limited(response, MAX_ANSWER).await?;
        serde_json::from_slice::<TokenAnswer>(&bytes)
            .ok()
            .and_then(TokenAnswer::header)
            .ok_or_else(|| {
                Attempt::last(self.failed(&without_query(&url), "the token server sent no token"))
            })
    }

    /// Sends a request and follows redirections. The authorization goes to the registry's own
    /// host only, and never from an encrypted connection to an open one (GO-2022-0803).
    async fn send(
        &self,
        url: &Url,
        headers: &HeaderMap,
        authorization: Option<&str>,
    ) -> Result<Response, Attempt> {
        let mut at = url.clone();
        for _ in 0..MAX_REDIRECTS {
            let mut request = self.client.get(at.clone()).headers(headers.clone());
            if let Some(authorization) = authorization
                && at.origin() == url.origin()
            {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = request.send().await.map_err(|e| self.broken(&at, &e))?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let next = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| at.join(value).ok());
            let Some(next) = next else {
                return Err(Attempt::last(
                    self.failed(at.as_str(), "redirects to nowhere"),
                ));
            };
            let open = next.scheme() != "https" && !(next.scheme() == "http" && self.insecure);
            if open {
                let detail = format!("redirects to {}, which is not https", without_query(&next));
                return Err(Attempt::last(self.failed(at.as_str(), &detail)));
            }
            at = next;
        }
        Err(Attempt::last(
            self.failed(url.as_str(), "redirects too often"),
        ))
    }

    fn broken(&self, url: &Url, error: &reqwest::Error) -> Attempt {
        let error = self.failed(&without_query(url), &chain(&error));
        Attempt {
            error,
            again: true,
            after: None,
        }
    }

    /// Turns any answer that is not a success into the error that it means.
    async fn accept(&self, url: &Url, response: Response) -> Result<Response, Attempt> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.min(30)));
        let again = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        let body = self
            .read_limited(response, MAX_ANSWER)
            .await
            .unwrap_or_default();
        let error = self.meaning(url, status, &body);
        Err(Attempt {
            error,
            again,
            after,
        })
    }

    fn meaning(&self, url: &Url, status: StatusCode, body: &[u8]) -> Error {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            errors: Vec<Item>,
            #[serde(default)]
            details: Option<String>,
        }
        #[derive(Deserialize)]
        struct Item {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let answer: Option<Answer> = serde_json::from_slice(body).ok();
        let details = answer.as_ref().and_then(|answer| answer.details.clone());
        let item = answer.and_then(|answer| answer.errors.into_iter().next());
        let words = item.as_ref().map(|item| {
            let code = item.code.to_lowercase().replace('_', " ");
            if item.message.is_empty() {
                code
            } else {
                format!("{code}: {}", item.message)
            }
        });
        let name = self.reference.familiar_name();
        let detail = |fallback: &str| words.clone().unwrap_or_else(|| fallback.to_owned());
        match (item.as_ref().map(|item| item.code.as_str()), status) {
            (Some("MANIFEST_UNKNOWN"), _) => Error::ManifestUnknown {
                reference: self.reference.familiar(),
                detail: detail("manifest unknown"),
            },
            (Some("NAME_UNKNOWN"), _) => Error::RepositoryUnknown {
                name,
                detail: detail("name unknown"),
            },
            (Some("DENIED"), _) | (_, StatusCode::FORBIDDEN) => Error::AccessDenied {
                name,
                detail: detail("denied: requested access to the resource is denied"),
            },
            (None, StatusCode::NOT_FOUND) => Error::ManifestUnknown {
                reference: self.reference.familiar(),
                detail: "manifest unknown".to_owned(),
            },
            (_, StatusCode::UNAUTHORIZED) if self.credentials == Credentials::default() => {
                Error::AccessDenied {
                    name,
                    detail: details.unwrap_or(detail("unauthorized: authentication required")),
                }
            }
            (_, StatusCode::UNAUTHORIZED) => Error::Unauthorized {
                registry: format!("Get \"{}\"", without_query(url)),
                detail: match details {
                    Some(details) => format!("unauthorized: {details}"),
                    None => detail("unauthorized: incorrect username or password"),
                },
            },
            _ => self.failed(
                &without_query(url),
                &words.unwrap_or(format!("received unexpected HTTP status: {status}")),
            ),
        }
    }

    async fn read_limited(&self, mut response: Response, limit: u64) -> Result<Vec<u8>, Attempt> {
        let url = response.url().clone();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(&url, &e))? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                let detail = format!("its answer is longer than {limit} bytes, which is the limit");
                return Err(Attempt::last(self.failed(&without_query(&url), &detail)));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// Signed addresses of storage services have secrets in their queries.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// Why a blob could not be had, and whether to try again.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) error: Error,
    pub(crate) again: bool,
    pub(crate) after: Option<Duration>,
}

impl BlobStream {
    /// The next bytes; none at the end of the answer, whether that is all or not.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Retry> {
        loop {
            let chunk = self.response.chunk().await.map_err(|e| Retry {
                error: Error::Registry {
                    registry: format!("Get \"{}\"", without_query(self.response.url())),
                    detail: chain(&e),
                },
                again: true,
                after: None,
            })?;
            let Some(mut chunk) = chunk else {
                return Ok(None);
            };
            if self.skip >= chunk.len() as u64 {
                self.skip -= chunk.len() as u64;
                continue;
            }
            let skip = usize::try_from(std::mem::take(&mut self.skip)).unwrap_or(usize::MAX);
            return Ok(Some(chunk.split_off(skip)));
        }
    }
}
