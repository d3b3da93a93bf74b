//! Files from anywhere on the web.

use std::io::Write;

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, LAST_MODIFIED, LOCATION};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::store::Store;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// What a server says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// Its media type.
    pub media_type: String,
    /// When it was changed, seconds since 1970.
    pub modified: Option<i64>,
}

impl Store {
    /// Fetches a file into `sink`, which may block. No credentials are sent to anybody.
    ///
    /// # Errors
    /// When the URL is none, the server refuses or breaks off, or `sink` fails.
    pub async fn download_file(
        &self,
        url: &str,
        sink: &mut (dyn Write + Send),
        cancel: &CancellationToken,
    ) -> Result<Downloaded> {
        let fetch = self.fetch_file(url, sink);
        let fetched = cancel.run_until_cancelled(fetch).await;
        fetched.unwrap_or(Err(Error::Cancelled("the download")))
    }

    async fn fetch_file(&self, url: &str, sink: &mut (dyn Write + Send)) -> Result<Downloaded> {
        let invalid = |e: &dyn std::fmt::Display| Error::Invalid(format!("{url}: {e}"));
        let mut at = Url::parse(url).map_err(|e| invalid(&e))?;
        for _ in 0..MAX_REDIRECTS {
            if !matches!(at.scheme(), "http" | "https") {
                return Err(invalid(&format!(
                    "it leads to {}, which is not fetched",
                    at.scheme()
                )));
            }
            let domain = at.host_str().unwrap_or_default().to_owned();
            let failed = |e: reqwest::Error| Error::Registry {
                registry: domain.clone(),
                detail: format!("fetch {url}: {}", crate::registry::told(&e)),
            };
            let client = self.0.registries.plain_client(&domain)?;
            let answer = client.get(at.clone()).send().await.map_err(failed)?;
            let status = answer.status();
            let header = |name| {
                let value = answer.headers().get(name)?;
                value.to_str().ok().map(str::to_owned)
            };
            if status.is_redirection()
                && let Some(location) = header(LOCATION)
            {
                at = at.join(&location).map_err(|e| invalid(&e))?;
                continue;
            }
            if !status.is_success() {
                return Err(Error::Registry {
                    registry: domain,
                    detail: format!("fetch {url}: invalid response status {status}"),
                });
            }
            let found = Downloaded {
                media_type: header(CONTENT_TYPE).unwrap_or_default(),
                modified: header(LAST_MODIFIED)
                    .and_then(|text| jiff::fmt::rfc2822::parse(&text).ok())
                    .map(|time| time.timestamp().as_second()),
            };
            let mut answer = answer;
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                sink.write_all(&chunk)
                    .map_err(|e| Error::io(format!("store what {url} has"), e))?;
            }
            return Ok(found);
        }
        Err(invalid(&"it leads on and on"))
    }
}
