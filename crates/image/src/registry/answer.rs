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

/// The longest that a busy registry is waited for at a time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `Retry-After` says: seconds, or a date.
fn retry_after(text: &str, now: jiff::Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    // A date that has passed is now.
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// A failed attempt: whether another may help, and when.
pub(super) struct Attempt {
    pub(super) error: Error,
    pub(super) again: bool,
    /// Nobody was there, and never has been.
    pub(super) unreachable: bool,
    pub(super) after: Option<Duration>,
    /// What was answered, when it was an answer that failed.
    pub(super) status: Option<StatusCode>,
}

impl Attempt {
    pub(super) fn last(error: Error) -> Self {
        Self {
            error,
            again: false,
            unreachable: false,
            after: None,
            status: None,
        }
    }

    /// Refused, so that asking the same again is of no use.
    pub(super) fn refused(&self) -> bool {
        !self.again && self.status.is_some_and(|status| status.is_client_error())
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
        let unreachable = error.is_connect() && !self.known().answered;
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
            status: None,
        }
    }

    /// Nothing has come or gone for a time.
    pub(super) fn silent(&self, url: &Url, time: Duration) -> Attempt {
        let detail = format!("nothing has moved for {} seconds", time.as_secs());
        Attempt {
            error: self.failed(&without_query(url), &detail),
            again: true,
            unreachable: false,
            after: None,
            status: None,
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
            .and_then(|value| retry_after(value.to_str().ok()?, jiff::Timestamp::now()));
        let busy = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        // Who is to come back in an hour is better told at once.
        let again = busy && after.is_none_or(|after| after <= PATIENCE);
        let body = self
            .read_limited(response, MAX_ANSWER)
            .await
            .unwrap_or_default();
        let error = match (self.meaning(url, status, &body), after) {
            (Error::Registry { registry, detail }, Some(after)) if busy && !again => {
                let detail = format!("{detail} (it can be asked again in {} s)", after.as_secs());
                Error::Registry { registry, detail }
            }
            (error, _) => error,
        };
        Err(Attempt {
            error,
            again,
            unreachable: false,
            after,
            status: Some(status),
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
        loop {
            // Not every client has a limit of its own.
            let chunk = tokio::time::timeout(super::ANSWER, response.chunk()).await;
            let chunk = chunk.map_err(|_| self.silent(&url, super::ANSWER))?;
            let Some(chunk) = chunk.map_err(|e| self.broken(&url, &e))? else {
                return Ok(bytes);
            };
            if (bytes.len() + chunk.len()) as u64 > limit {
                let detail = format!("its answer is longer than {limit} bytes, which is the limit");
                return Err(Attempt::last(self.failed(&without_query(&url), &detail)));
            }
            bytes.extend_from_slice(&chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_come_back_is_read_in_both_forms() {
        let now = "2015-10-21T07:28:00Z".parse().unwrap();
        let after = |text: &str| retry_after(text, now).map(|after| after.as_secs());
        assert_eq!(after("7"), Some(7));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:20 GMT"), Some(20));
        assert_eq!(after("Wed, 21 Oct 2015 07:27:00 GMT"), Some(0));
        for bad in ["", "soon", "-1", "Wed, 99 Oct 2015 07:28:20 GMT"] {
            assert_eq!(after(bad), None, "{bad}");
        }
    }
}
