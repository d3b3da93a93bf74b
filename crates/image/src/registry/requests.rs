//! Small questions to registries: what it has, whether it knows somebody.

use reqwest::Method;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;

use super::answer::Attempt;
use super::session::{Content, Session};
use crate::error::{Error, Result};

/// Largest page of an answer that is read.
const MAX_PAGE: u64 = 8 << 20;
/// Most pages that are asked for.
const MAX_PAGES: usize = 100;

impl Session {
    /// Whether the registry lets us in; answers the token that stands for the password, if it
    /// gives one.
    pub(crate) async fn login(&self) -> Result<Option<String>> {
        self.persist(|| async {
            let none = HeaderMap::new();
            let (url, response) = self.at(Method::GET, "v2/", &none, &Content::None).await?;
            self.accept(&url, response)
                .await
                .map(drop)
                .map_err(|e| match e {
                    // There is no repository yet that could be denied.
                    Attempt {
                        error: Error::AccessDenied { detail, .. },
                        ..
                    } => Attempt::last(Error::Unauthorized {
                        registry: format!("Get \"{url}\""),
                        detail,
                    }),
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
                .filter(|next| next.origin() == url.origin())
                .map(|next| {
                    let query = next.query().map_or(String::new(), |q| format!("?{q}"));
                    format!("{}{query}", next.path().trim_start_matches('/'))
                });
            Ok((self.read_limited(response, MAX_PAGE).await?, next))
        })
        .await
    }

    /// Names of repositories that have `term` in them, at most `limit`.
    pub(crate) async fn catalogue(&self, term: &str, limit: usize) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            repositories: Option<Vec<String>>,
        }
        let mut path = Some("v2/_catalog?n=1000".to_owned());
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(at) = path.take() else { break };
            let (bytes, next) = self.document(&at).await?;
            let page: Page = serde_json::from_slice(&bytes).map_err(|e| Error::Registry {
                registry: format!("Get \"{at}\""),
                detail: format!("its catalogue cannot be read: {e}"),
            })?;
            let names = page.repositories.unwrap_or_default();
            found.extend(names.into_iter().filter(|name| name.contains(term)));
            if found.len() >= limit {
                break;
            }
            path = next;
        }
        found.truncate(limit);
        Ok(found)
    }
}
