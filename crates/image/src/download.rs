//! Files from anywhere on the web.

use std::io::Write;

use reqwest::StatusCode;
use reqwest::Url;
use reqwest::header::{ETAG, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::store::Store;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// What a server says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// When it was changed, seconds since 1970.
    pub modified: Option<i64>,
    /// What the server calls this state of the file.
    pub etag: Option<String>,
    /// It is what was known before, and was not sent.
    pub unchanged: bool,
}

impl Store {
    /// Fetches a file into `sink`, which may block. No credentials are sent to anybody but those of
    /// the URL.
    ///
    /// # Errors
    /// When the URL is none, the server refuses or breaks off, or `sink` fails.
    pub async fn download_file(
        &self,
        url: &str,
        sink: &mut (dyn Write + Send),
        cancel: &CancellationToken,
    ) -> Result<Downloaded> {
        self.download_changed(url, None, sink, cancel).await
    }

    /// The same, unless the file is still what its server called `known` the last time.
    ///
    /// # Errors
    /// As [`Self::download_file`].
    pub async fn download_changed(
        &self,
        url: &str,
        known: Option<&str>,
        sink: &mut (dyn Write + Send),
        cancel: &CancellationToken,
    ) -> Result<Downloaded> {
        let fetch = self.fetch_file(url, known, sink);
        let fetched = cancel.run_until_cancelled(fetch).await;
        fetched.unwrap_or(Err(Error::Cancelled("the download")))
    }

    async fn fetch_file(
        &self,
        url: &str,
        known: Option<&str>,
        sink: &mut (dyn Write + Send),
    ) -> Result<Downloaded> {
        let parsed = Url::parse(url);
        let shown = parsed.as_ref().map_or(url.to_owned(), redacted);
        let invalid = |e: &dyn std::fmt::Display| Error::Invalid(format!("{shown}: {e}"));
        let mut at = parsed.map_err(|e| invalid(&e))?;
        for _ in 0..MAX_REDIRECTS {
            if !matches!(at.scheme(), "http" | "https") {
                return Err(invalid(&format!(
                    "it leads to {}, which is not fetched",
                    at.scheme()
                )));
            }
            // With its port, as the folders of certificates are called.
            let host = at.host_str().unwrap_or_default();
            let domain = match at.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            };
            let failed = |e: reqwest::Error| Error::Registry {
                registry: domain.clone(),
                detail: format!("fetch {shown}: {}", crate::registry::told(&e)),
            };
            let client = self.0.registries.plain_client(&domain)?;
            let mut request = client.get(at.clone());
            if let Some(known) = known {
                request = request.header(IF_NONE_MATCH, known);
            }
            let answer = request.send().await.map_err(failed)?;
            let status = answer.status();
            let header = |name| {
                let value = answer.headers().get(name)?;
                value.to_str().ok().map(str::to_owned)
            };
            if status.is_redirection()
                && let Some(location) = header(LOCATION)
            {
                let next = at.join(&location).map_err(|e| invalid(&e))?;
                if at.scheme() == "https" && next.scheme() != "https" {
                    return Err(invalid(&"it leads from https to what is not https"));
                }
                at = next;
                continue;
            }
            if status == StatusCode::NOT_MODIFIED && known.is_some() {
                return Ok(Downloaded {
                    unchanged: true,
                    ..Downloaded::default()
                });
            }
            if !status.is_success() {
                return Err(Error::Registry {
                    registry: domain,
                    detail: format!("fetch {shown}: invalid response status {status}"),
                });
            }
            let found = Downloaded {
                etag: header(ETAG).filter(|tag| !tag.is_empty()),
                unchanged: false,
                modified: header(LAST_MODIFIED)
                    .and_then(|text| jiff::fmt::rfc2822::parse(&text).ok())
                    .map(|time| time.timestamp().as_second()),
            };
            let mut answer = answer;
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                sink.write_all(&chunk)
                    .map_err(|e| Error::io(format!("store what {shown} has"), e))?;
            }
            return Ok(found);
        }
        Err(invalid(&"it leads on and on"))
    }
}

/// Without the name and password in it.
fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // Both are only refused where there is no host, and so no name.
        let _ = url.set_username("xxxxx");
        let _ = url.set_password(None);
    }
    url.into()
}
