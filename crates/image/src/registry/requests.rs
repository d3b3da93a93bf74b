//! Small questions to registries: what it has, whether it knows somebody.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::answer::Attempt;
use super::session::{Content, Session};
use crate::error::{Error, Result};

/// Largest page of an answer that is read.
const MAX_PAGE: u64 = 8 << 20;
/// Most pages that are asked for.
const MAX_PAGES: usize = 10_000;
/// Most names that are read of one list, and most bytes of them.
const MAX_NAMES: usize = 1_000_000;
const MAX_NAMES_BYTES: usize = 64 << 20;

impl Session {
    /// Whether the registry lets us in; answers the token that stands for the password, if it
    /// gives one.
    pub(crate) async fn login(&self) -> Result<Option<String>> {
        let place = format!("{}/v2/", self.host);
        self.persist(|| async {
            let none = HeaderMap::new();
            let asked = async {
                let (url, response) = self.at(Method::GET, "v2/", &none, &Content::None).await?;
                self.accept(&url, response).await.map(drop)
            };
            asked.await.map_err(|e| match e {
                // There is no repository yet that could be denied.
                Attempt {
                    error: Error::AccessDenied { detail, .. },
                    ..
                } => {
                    let scheme = self.known().scheme.unwrap_or("https");
                    Attempt::last(Error::Unauthorized {
                        registry: format!("Get \"{scheme}://{place}\""),
                        detail,
                    })
                }
                e => e,
            })
        })
        .await?;
        Ok(self.known().refresh.take())
    }

    /// A JSON document below the host, and the path of its next page.
    pub(crate) async fn document(&self, path: &str) -> Result<(Vec<u8>, Option<String>)> {
        self.persist(|| async {
            let none = HeaderMap::new();
            let (url, response) = self.at(Method::GET, path, &none, &Content::None).await?;
            let response = self.accept(&url, response).await?;
            let next = response
                .headers()
                .get(LINK)
                .and_then(|link| link.to_str().ok())
                .filter(|link| link.contains("rel=\"next\""))
                .and_then(|link| link.split(['<', '>']).nth(1))
                .and_then(|link| url.join(link).ok())
                // Asked of the registry itself, wherever it says: behind a proxy it may not know its
                // own address.
                .map(|next| {
                    let query = next.query().map_or(String::new(), |q| format!("?{q}"));
                    format!("{}{query}", next.path().trim_start_matches('/'))
                });
            Ok((self.read_limited(response, MAX_PAGE).await?, next))
        })
        .await
    }

    /// Names in the member `list` of the document at `path` and its further pages, as long as
    /// `take` wants more. `what` is what is read, for errors.
    async fn names(
        &self,
        path: String,
        list: &str,
        what: &str,
        mut take: impl FnMut(Vec<String>) -> bool,
    ) -> Result<()> {
        let mut path = Some(path);
        let mut seen = HashSet::new();
        let (mut count, mut size) = (0, 0);
        while let Some(at) = path.take() {
            let too_long = |why: String| Error::Registry {
                registry: format!("Get \"{at}\""),
                detail: format!("its {what} is too long: {why}"),
            };
            // What leads in a circle has no further names.
            if !seen.insert(at.clone()) {
                break;
            }
            if seen.len() > MAX_PAGES {
                return Err(too_long(format!("more than {MAX_PAGES} pages")));
            }
            let (bytes, next) = self.document(&at).await?;
            let names = serde_json::from_slice(&bytes)
                .and_then(|mut page: Value| {
                    let names = page.get_mut(list).map_or(Value::Null, Value::take);
                    Option::<Vec<String>>::deserialize(names)
                })
                .map_err(|e| Error::Registry {
                    registry: format!("Get \"{at}\""),
                    detail: format!("its {what} cannot be read: {e}"),
                })?;
            let names = names.unwrap_or_default();
            count += names.len();
            size += names.iter().map(String::len).sum::<usize>();
            if count > MAX_NAMES || size > MAX_NAMES_BYTES {
                return Err(too_long(format!(
                    "more than {MAX_NAMES} names or {MAX_NAMES_BYTES} bytes"
                )));
            }
            if !take(names) {
                break;
            }
            path = next;
        }
        Ok(())
    }

    /// All tags of the repository.
    pub(crate) async fn tags(&self) -> Result<Vec<String>> {
        let path = format!("v2/{}/tags/list?n=1000", self.reference.path());
        let mut found = Vec::new();
        let all = |names| {
            found.extend(names);
            true
        };
        self.names(path, "tags", "list of tags", all).await?;
        Ok(found)
    }

    /// Removes a manifest by its digest, with all tags that it has.
    pub(crate) async fn delete_manifest(&self, digest: &str) -> Result<()> {
        let Some((url, response)) = self.delete(digest).await? else {
            return Ok(());
        };
        self.accept(&url, response)
            .await
            .map(drop)
            .map_err(|failed| failed.error)
    }

    /// Removes a tag alone; false where the registry does not do that.
    pub(crate) async fn delete_tag(&self, tag: &str) -> Result<bool> {
        let Some((url, response)) = self.delete(tag).await? else {
            return Ok(true);
        };
        // By the specification it says that it does not support it; docker's finds that a tag is
        // no digest.
        let cannot = [StatusCode::BAD_REQUEST, StatusCode::METHOD_NOT_ALLOWED];
        if cannot.contains(&response.status()) {
            return Ok(false);
        }
        let accepted = self.accept(&url, response).await;
        accepted.map(|_| true).map_err(|failed| failed.error)
    }

    /// The answer to a removal; none where it is gone by an earlier attempt, whose answer was lost.
    async fn delete(&self, which: &str) -> Result<Option<(Url, Response)>> {
        let path = format!("v2/{}/manifests/{which}", self.reference.path());
        let asked_before = AtomicBool::new(false);
        self.persist(|| async {
            let again = asked_before.swap(true, Ordering::SeqCst);
            let none = HeaderMap::new();
            let asked = self.at(Method::DELETE, &path, &none, &Content::None);
            let (url, response) = asked.await?;
            let status = response.status();
            if again && status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                self.accept(&url, response).await.map(|r| Some((url, r)))
            } else {
                Ok(Some((url, response)))
            }
        })
        .await
    }

    /// Names of repositories that have `term` in them, at most `limit`.
    pub(crate) async fn catalogue(&self, term: &str, limit: usize) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let some = |names: Vec<String>| {
            found.extend(names.into_iter().filter(|name| name.contains(term)));
            found.len() < limit
        };
        let path = "v2/_catalog?n=1000".to_owned();
        self.names(path, "repositories", "catalogue", some).await?;
        found.truncate(limit);
        Ok(found)
    }
}
