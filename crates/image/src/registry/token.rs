//! Getting the authorization that a registry asks for.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response, Url};

use super::answer::{Attempt, MAX_ANSWER, without_query};
use super::auth::{Challenge, TokenAnswer};
use super::session::{MAX_REDIRECTS, Session};
use super::tokens;
use crate::error::Error;

/// What a registry is shown.
pub(super) struct Authorization {
    pub(super) header: String,
    /// It was got earlier, and may have ended.
    pub(super) kept: bool,
}

impl Session {
    /// Gets what the registry asks for. `used` is what it has just refused.
    pub(super) async fn authorize(
        &self,
        url: &Url,
        asked: Challenge,
        used: Option<&str>,
    ) -> Result<Authorization, Attempt> {
        let _one = self.asking.lock().await;
        let known = self.known().authorization.clone();
        if let Some(known) = known
            && Some(known.as_str()) != used
        {
            // Another request got it while this one waited.
            return Ok(Authorization {
                header: known,
                kept: true,
            });
        }
        let got = |header| Authorization {
            header,
            kept: false,
        };
        let found = match asked {
            Challenge::Basic => got(self.credentials.basic_header().ok_or_else(|| {
                Attempt::last(Error::Unauthorized {
                    registry: format!("Get \"{url}\""),
                    detail: "no basic auth credentials".to_owned(),
                })
            })?),
            Challenge::Bearer { .. } if self.credentials.registry_token.is_some() => {
                got(used.unwrap_or_default().to_owned())
            }
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => self.token(url, &realm, &service, scope, used).await?,
        };
        self.known().authorization = Some(found.header.clone());
        Ok(found)
    }

    /// The scopes that a token is asked for, without those of repositories that refused us.
    fn wanted(&self) -> Vec<String> {
        let refused = self.unmountable();
        let ours = |scope: &&String| {
            let path = repository(scope);
            path.is_none_or(|path| !refused.contains(path))
        };
        self.scopes.iter().filter(ours).cloned().collect()
    }

    /// A token. Servers that give none because of a repository that is only mounted from are asked
    /// for one without it.
    async fn token(
        &self,
        registry: &Url,
        realm: &str,
        service: &str,
        scope: Option<String>,
        used: Option<&str>,
    ) -> Result<Authorization, Attempt> {
        let first = self
            .token_once(registry, realm, service, scope.clone(), used)
            .await;
        match first {
            Err(failed) if failed.refused() => {
                let mounts = self.wanted().into_iter().skip(1);
                let paths: Vec<_> = mounts
                    .filter_map(|scope| repository(&scope).map(str::to_owned))
                    .collect();
                if paths.is_empty() {
                    return Err(failed);
                }
                self.unmountable().extend(paths);
                let own = self.token_once(registry, realm, service, None, used).await;
                own.map_err(|_| failed)
            }
            done => done,
        }
    }

    async fn token_once(
        &self,
        registry: &Url,
        realm: &str,
        service: &str,
        scope: Option<String>,
        used: Option<&str>,
    ) -> Result<Authorization, Attempt> {
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
        let mut scopes = self.wanted();
        scopes.extend(scope.filter(|scope| !self.covers(scope)));
        let key = tokens::key(realm, service, &scopes, &self.credentials);
        // Who logs in wants to know whether the credentials are good now.
        if !self.offline
            && let Some(kept) = self.tokens.get(&key, used)
        {
            return Ok(Authorization {
                header: kept,
                kept: true,
            });
        }
        let scope = scopes.join(" ");
        let mut form_sent = None;
        if let Some(refresh) = &self.credentials.identity_token {
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
            form_sent = Some(encoded.query().unwrap_or_default().to_owned());
        } else {
            {
                let mut pairs = url.query_pairs_mut();
                if !service.is_empty() {
                    pairs.append_pair("service", service);
                }
                for scope in &scopes {
                    pairs.append_pair("scope", scope);
                }
                if self.offline {
                    pairs.append_pair("offline_token", "true");
                    pairs.append_pair("client_id", "wharf");
                }
                if let Some((user, _)) = &self.credentials.basic {
                    pairs.append_pair("account", user);
                }
            }
        }
        let response = self.ask_for_token(&mut url, form_sent).await?;
        let response = match self.accept(&url, response).await {
            Err(Attempt {
                error: Error::Registry { detail, .. },
                again: false,
                status,
                ..
            }) => {
                let error = Error::Unauthorized {
                    registry: format!("Get \"{}\"", without_query(&url)),
                    detail,
                };
                return Err(Attempt {
                    status,
                    ..Attempt::last(error)
                });
            }
            answer => answer?,
        };
        let bytes = self.read_limited(response, MAX_ANSWER).await?;
        let answer = serde_json::from_slice::<TokenAnswer>(&bytes).ok();
        if let Some(token) = answer.as_ref().and_then(|a| a.refresh_token.clone()) {
            self.known().refresh = Some(token);
        }
        let seconds = answer.as_ref().and_then(TokenAnswer::seconds);
        let header = answer.and_then(TokenAnswer::header).ok_or_else(|| {
            Attempt::last(self.failed(&without_query(&url), "the token server sent no token"))
        })?;
        if !self.offline {
            self.tokens.put(key, &header, seconds);
        }
        Ok(Authorization {
            header,
            kept: false,
        })
    }

    /// A token server's answer. Redirections are followed, but who we are is told to nobody else
    /// than the server that the registry named.
    async fn ask_for_token(
        &self,
        url: &mut Url,
        form: Option<String>,
    ) -> Result<Response, Attempt> {
        let origin = url.origin();
        for _ in 0..MAX_REDIRECTS {
            let own = url.origin() == origin;
            let request = match &form {
                Some(form) => self
                    .client
                    .request(Method::POST, url.clone())
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.clone()),
                None => {
                    let request = self.client.request(Method::GET, url.clone());
                    match self.credentials.basic_header().filter(|_| own) {
                        Some(basic) => request.header(AUTHORIZATION, basic),
                        None => request,
                    }
                }
            };
            let response = request.send().await.map_err(|e| self.broken(url, &e))?;
            let next = response
                .headers()
                .get(LOCATION)
                .filter(|_| response.status().is_redirection())
                .and_then(|value| url.join(value.to_str().ok()?).ok());
            let Some(next) = next else {
                return Ok(response);
            };
            let open = next.scheme() != "https"
                && !(next.scheme() == "http" && url.scheme() == "http" && self.insecure);
            if open || form.is_some() && next.origin() != origin {
                let detail = format!(
                    "its token server leads to {}, where no credentials are sent",
                    without_query(&next)
                );
                return Err(Attempt::last(self.failed(&without_query(url), &detail)));
            }
            *url = next;
        }
        Err(Attempt::last(
            self.failed(&without_query(url), "redirects too often"),
        ))
    }

    /// Whether what a registry asks for is among what is asked for anyway.
    fn covers(&self, scope: &str) -> bool {
        let parts = |text: &str| {
            text.rsplit_once(':')
                .map(|(what, actions)| (what.to_owned(), actions.to_owned()))
        };
        let Some((what, actions)) = parts(scope) else {
            return false;
        };
        self.scopes.iter().filter_map(|own| parts(own)).any(|own| {
            own.0 == what
                && actions
                    .split(',')
                    .all(|action| own.1.split(',').any(|a| a == action))
        })
    }
}
/// The repository that a scope is about.
fn repository(scope: &str) -> Option<&str> {
    let (path, _) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
    Some(path)
}
