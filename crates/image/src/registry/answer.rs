//! What a registry's answers mean, and which failures are worth another attempt.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::auth::Credentials;
use super::session::Session;
use crate::error::Error;

/// Longest error text or token answer that is read.
pub(super) const MAX_ANSWER: u64 = 64 << 10;

/// A failed attempt: whether another may help, and when.
pub(super) struct Attempt {
    pub(super) error: Error,
    pub(super) again: bool,
    /// Nobody was there, and never has been.
    pub(super) unreachable: bool,
    pub(super) after: Option<Duration>,
}

impl Attempt {
    pub(super) fn last(error: Error) -> Self {
        Self {
            error,
            again: false,
            unreachable: false,
            after: None,
        }
    }
}

/// An error with all its causes, which hold what really happened.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
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

/// Signed addresses of storage services have secrets in their queries.
pub(super) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// What went wrong with a request. Its address, which whoever tells of this knows, is left out: a
/// storage service's has secrets in its query.
pub(crate) fn told(error: &reqwest::Error) -> String {
    let text = chain(error);
    match error.url() {
        Some(url) => text.replace(&format!(" for url ({url})"), ""),
        None => text,
    }
}

/// Why a blob could not be had, and whether to try again.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) error: Error,
    pub(crate) again: bool,
    pub(crate) after: Option<Duration>,
}

impl Session {
    pub(super) fn broken(&self, url: &Url, error: &reqwest::Error) -> Attempt {
        // A name that does not resolve, or nobody there: only a registry that has answered before
        // is worth waiting for. Otherwise a typing error takes a minute to be told.
        let unreachable = error.is_connect() && self.known().scheme.is_none();
        let mut detail = told(error);
        let unknown = ["UnknownIssuer", "CaUsedAsEndEntity"];
        let untrusted = detail.contains("invalid peer certificate");
        if untrusted && unknown.iter().any(|why| detail.contains(why)) {
            detail = "tls: failed to verify certificate: x509: certificate signed by unknown \
                      authority"
                .to_owned();
        }
        Attempt {
            error: self.failed(&without_query(url), &detail),
            // It will not be another one in a second.
            again: !untrusted || self.insecure,
            unreachable,
            after: None,
        }
    }

    /// Turns any answer that is not a success into the error that it means.
    pub(super) async fn accept(&self, url: &Url, response: Response) -> Result<Response, Attempt> {
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
            unreachable: false,
            after,
        })
    }

    pub(super) fn meaning(&self, url: &Url, status: StatusCode, body: &[u8]) -> Error {
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

    pub(super) async fn read_limited(
        &self,
        mut response: Response,
        limit: u64,
    ) -> Result<Vec<u8>, Attempt> {
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
