//! Sending content to a registry: blobs in one stream, resumed where it breaks, and manifests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::answer::{Attempt, without_query};
use super::session::{ATTEMPTS, Content, Session, back_off};
use crate::digest::Digest;
use crate::error::{Context as _, Result};

const PIECE: usize = 1 << 20;

/// A file to be sent, from some place in it on.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) offset: u64,
    /// Counts what was taken to be sent.
    pub(crate) sent: Arc<AtomicU64>,
}

/// What came of the wish to upload.
pub(crate) enum Begun {
    /// The registry has it in the other repository and took it from there.
    Mounted,
    /// It is to be sent there.
    At(Url),
}

impl Source {
    pub(super) async fn body(&self, request: RequestBuilder) -> Result<RequestBuilder> {
        let what = || format!("read {}", self.path.display());
        let mut file = tokio::fs::File::open(&self.path).await.doing(what)?;
        file.set_max_buf_size(PIECE);
        file.seek(std::io::SeekFrom::Start(self.offset))
            .await
            .doing(what)?;
        let left = self.size.saturating_sub(self.offset);
        self.sent.store(self.offset, Ordering::Relaxed);
        let sent = self.sent.clone();
        let pieces = tokio_util::io::ReaderStream::with_capacity(file.take(left), PIECE);
        let counted = pieces.inspect(move |piece| {
            if let Ok(piece) = piece {
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        });
        Ok(request
            .header(CONTENT_LENGTH, left)
            .body(reqwest::Body::wrap_stream(counted)))
    }
}

impl Session {
    /// Whether the repository has the blob.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let path = format!("v2/{}/blobs/{digest}", self.reference.path());
        self.persist(|| async {
            let none = HeaderMap::new();
            let (url, response) = self.at(Method::HEAD, &path, &none, &Content::None).await?;
            // Who may not look may still be let in; and who is not learns why only from an answer
            // with words, which this one cannot have.
            let unknown = [
                StatusCode::NOT_FOUND,
                StatusCode::FORBIDDEN,
                StatusCode::UNAUTHORIZED,
            ];
            if unknown.contains(&response.status()) {
                return Ok(false);
            }
            self.accept(&url, response).await.map(|_| true)
        })
        .await
    }

    /// Begins an upload, or has the registry take the blob from its repository `from`. Who may not
    /// read there sends it: that is no reason not to push.
    pub(crate) async fn begin(&self, digest: &Digest, from: Option<&str>) -> Result<Begun> {
        if let Some(from) = from.filter(|from| !self.unmountable().contains(*from)) {
            if let Some(begun) = self.open_upload(digest, Some(from)).await? {
                return Ok(begun);
            }
            tracing::debug!(from, "registry does not mount {digest} from there");
            self.unmountable().insert(from.to_owned());
        }
        let begun = self.open_upload(digest, None).await?;
        begun.ok_or(crate::error::Error::Cancelled("the upload"))
    }

    /// One wish to upload; none where the registry refuses to take the blob from `from`.
    async fn open_upload(&self, digest: &Digest, from: Option<&str>) -> Result<Option<Begun>> {
        let mut path = format!("v2/{}/blobs/uploads/", self.reference.path());
        if let Some(from) = from {
            // Neither has characters that would have to be escaped.
            path.push_str(&format!("?mount={digest}&from={from}"));
        }
        self.persist(|| async {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            let asked = async {
                let none = &Content::None;
                let (url, response) = self.at(Method::POST, &path, &headers, none).await?;
                let response = self.accept(&url, response).await?;
                Ok::<_, Attempt>((url, response))
            };
            let (url, response) = match asked.await {
                Err(failed) if from.is_some() && failed.refused() => return Ok(None),
                answer => answer?,
            };
            if response.status() == StatusCode::CREATED {
                return Ok(Some(Begun::Mounted));
            }
            let at = self.location(&url, &response)?;
            self.opened().push(at.clone());
            Ok(Some(Begun::At(at)))
        })
        .await
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Vec<Url>> {
        self.open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn unmountable(
        &self,
    ) -> std::sync::MutexGuard<'_, std::collections::HashSet<String>> {
        self.unmountable
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Where an upload goes on.
    fn location(&self, url: &Url, response: &Response) -> Result<Url, Attempt> {
        let next = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| url.join(value).ok());
        let wrong = |why: &str| Attempt::last(self.failed(&without_query(url), why));
        let next = next.ok_or_else(|| wrong("does not say where the upload goes on"))?;
        let open = next.scheme() != "https" && !(next.scheme() == "http" && self.insecure);
        if open {
            return Err(wrong("wants the upload to go on without https"));
        }
        Ok(next)
    }

    /// Sends a blob's bytes. `at` is where it was begun.
    pub(crate) async fn upload(&self, digest: &Digest, at: Url, source: &Source) -> Result<()> {
        let (mut at, mut offset, mut failures, mut restarts) = (at, 0, 0, 0);
        loop {
            let failed = match self.send_blob(digest, &mut at, offset, source).await {
                Ok(()) => {
                    self.opened().retain(|open| open.path() != at.path());
                    return Ok(());
                }
                Err(failed) => failed,
            };
            failures += 1;
            // It has another part than we believe, or does not know the upload any more.
            let astray = failed.status == Some(StatusCode::RANGE_NOT_SATISFIABLE);
            let forgotten = failed.status == Some(StatusCode::NOT_FOUND);
            let again = failed.again || astray || forgotten;
            if !again || failures >= ATTEMPTS || restarts >= ATTEMPTS {
                return Err(failed.error);
            }
            tracing::debug!(error = %failed.error, offset, "upload of {digest} is resumed");
            tokio::time::sleep(failed.after.unwrap_or(back_off(failures - 1))).await;
            let received = match forgotten {
                true => None,
                false => self.received(&at).await,
            };
            match received {
                Some((received, next)) if received <= source.size => {
                    if received > offset {
                        failures = 0;
                    }
                    (at, offset) = (next, received);
                }
                // It may have become a blob, of which only the word was lost.
                _ if self.has_blob(digest).await? => return Ok(()),
                // The registry has forgotten it: all over again.
                _ => match self.begin(digest, None).await? {
                    Begun::Mounted => return Ok(()),
                    Begun::At(new) => {
                        restarts += 1;
                        (at, offset) = (new, 0);
                    }
                },
            }
        }
    }

    /// How much of an upload the registry has, and where it goes on.
    async fn received(&self, at: &Url) -> Option<(u64, Url)> {
        let none = HeaderMap::new();
        let answer = self.ask(Method::GET, at, &none, &Content::None).await;
        let answer = answer.ok().filter(|a| a.status().is_success())?;
        let range = answer.headers().get(RANGE)?.to_str().ok()?.to_owned();
        let next = self.location(at, &answer).unwrap_or_else(|_| at.clone());
        let last: u64 = range.rsplit_once('-')?.1.trim().parse().ok()?;
        // "0-0" is what it says of nothing, and of one byte; sending that byte again is refused,
        // so an upload of one byte begins anew.
        Some((if last == 0 { 0 } else { last.checked_add(1)? }, next))
    }

    async fn send_blob(
        &self,
        digest: &Digest,
        at: &mut Url,
        offset: u64,
        source: &Source,
    ) -> Result<(), Attempt> {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        if offset < source.size || source.size == 0 {
            let mut patch = headers.clone();
            if offset > 0
                && let Ok(range) = format!("{offset}-{}", source.size - 1).parse()
            {
                patch.insert(CONTENT_RANGE, range);
            }
            let content = Content::File(Source {
                offset,
                ..source.clone()
            });
            let response = self.ask(Method::PATCH, at, &patch, &content).await?;
            let response = self.accept(at, response).await?;
            let next = self.location(at, &response)?;
            for open in self.opened().iter_mut().filter(|open| *open == at) {
                *open = next.clone();
            }
            *at = next;
        }
        let mut last = at.clone();
        last.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let response = self
            .ask(Method::PUT, &last, &headers, &Content::None)
            .await?;
        self.accept(&last, response).await.map(drop)
    }

    /// Sends a manifest under a tag or its digest.
    pub(crate) async fn put_manifest(&self, which: &str, kind: &str, bytes: &[u8]) -> Result<()> {
        let path = format!("v2/{}/manifests/{which}", self.reference.path());
        let content = Content::Bytes(Bytes::copy_from_slice(bytes));
        self.persist(|| async {
            let mut headers = HeaderMap::new();
            if let Ok(kind) = kind.parse() {
                headers.insert(CONTENT_TYPE, kind);
            }
            let (url, response) = self.at(Method::PUT, &path, &headers, &content).await?;
            self.accept(&url, response).await.map(drop)
        })
        .await
    }

    /// Calls off what was begun. The registry forgets it in time anyway, so nobody waits long.
    pub(crate) async fn give_up(&self) {
        let open = std::mem::take(&mut *self.opened());
        let none = HeaderMap::new();
        let all = open
            .iter()
            .map(|at| self.ask(Method::DELETE, at, &none, &Content::None));
        let all = futures_util::future::join_all(all);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), all).await;
    }
}
