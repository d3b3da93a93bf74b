//! The gate before the routes: where there is someone to ask, every request is shown to him as it
//! will be acted upon, and every answer before it is sent.
//!
//! What cannot be shown is refused rather than passed (CVE-2024-41110, CVE-2026-34040): whether a
//! body is shown depends on the endpoint, never on what the client says about it; a body is read to
//! its end first, and the endpoint gets the very bytes that were shown.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderMap, Response, StatusCode, request::Parts},
};
use bytes::Bytes;
use types::Failure;

use crate::{
    Server,
    backend::{Answered, Asked, Chain, Peer},
    body, builds,
    endpoints::Op,
    error::Refusal,
    query::percent_decode,
    route::Route,
};

/// The largest answer that is shown in full.
const ANSWER: u64 = 64 << 20;
/// Headers that decide something: two of them could be understood in two ways.
const SINGLE: &[&str] = &[
    "content-type",
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "host",
    "upgrade",
    "x-registry-auth",
    "x-registry-config",
];
/// Headers that are nobody's business.
const SECRET: &[&str] = &["x-registry-auth", "x-registry-config"];

/// A request that may be served, and whose answer has to be shown.
#[derive(Clone)]
pub(crate) struct Approved {
    chain: Arc<dyn Chain>,
    asked: Arc<Asked>,
    /// Request and answer hold credentials.
    secret: bool,
    done: Arc<AtomicBool>,
}

/// Asks about a request; its body comes back. Without anyone to ask nothing is read.
pub(crate) async fn ask(
    server: &Server,
    parts: &Parts,
    route: &Route,
    sent: Body,
) -> Result<(Option<Approved>, Body), Refusal> {
    let Some(chain) = server.authorization.as_ref().and_then(|a| a.chain()) else {
        return Ok((None, sent));
    };
    for name in SINGLE {
        if parts.headers.get_all(*name).iter().nth(1).is_some() {
            return Err(Refusal::bad(format!("the header {name} is there twice")));
        }
    }
    let (shown, passed) = match route.endpoint.op {
        // Streams of files: as in Docker their bytes are not shown.
        Op::ImageLoad
        | Op::ImageCreate
        | Op::ArchivePut
        | Op::Build
        | Op::BuildContents
        | Op::BuildContext => (Bytes::new(), sent),
        // What it wants of this host counts, and is shown; what it knows is not.
        Op::BuildSession => {
            let bytes = body::read_up_to(sent, builds::MAX_REQUEST).await?;
            (builds::shown(&bytes)?.into(), Body::from(bytes))
        }
        op => {
            let bytes = body::read(sent).await?;
            let shown = if holds_credentials(op) {
                Bytes::new()
            } else {
                bytes.clone()
            };
            (shown, Body::from(bytes))
        }
    };
    let asked = Arc::new(Asked {
        peer: parts.extensions.get::<Peer>().cloned().unwrap_or_default(),
        method: parts.method.to_string(),
        uri: canonical(parts.uri.path(), parts.uri.query())?,
        body: shown,
        headers: headers(&parts.headers),
    });
    chain.request(&asked).await?;
    let done = Arc::new(AtomicBool::new(false));
    let approved = Approved {
        chain,
        asked,
        secret: holds_credentials(route.endpoint.op),
        done,
    };
    Ok((Some(approved), passed))
}

/// A password is sent, and what may be used in its place is answered; a build has passwords and
/// secrets.
fn holds_credentials(op: Op) -> bool {
    matches!(op, Op::Auth | Op::BuildSession)
}

impl Approved {
    /// Asks about an answer whose body is not shown: a stream, or a connection taken over.
    pub(crate) async fn head(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        self.shown(status, headers, Bytes::new()).await
    }

    /// Asks about an answer, once.
    pub(crate) async fn answer(&self, response: Response<Body>) -> Result<Response<Body>, Refusal> {
        if self.done.load(Ordering::Relaxed) {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let (shown, body) = match body.size_hint().exact() {
            _ if self.secret => (Bytes::new(), body),
            None => (Bytes::new(), body),
            Some(size) if size > ANSWER => {
                return Err(Failure::system(
                    "the answer is too large to be shown to the authorization plugins",
                )
                .into());
            }
            Some(_) => {
                let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|e| {
                    Refusal::from(Failure::system(format!("cannot read the answer: {e}")))
                })?;
                (bytes.clone(), Body::from(bytes))
            }
        };
        self.shown(parts.status, &parts.headers, shown).await?;
        Ok(Response::from_parts(parts, body))
    }

    async fn shown(
        &self,
        status: StatusCode,
        sent: &HeaderMap,
        body: Bytes,
    ) -> Result<(), Refusal> {
        self.done.store(true, Ordering::Relaxed);
        let answered = Answered {
            status: status.as_u16(),
            headers: headers(sent),
            body,
        };
        Ok(self.chain.response(&self.asked, &answered).await?)
    }
}

/// Path and query in the one form that has this meaning.
fn canonical(path: &str, query: Option<&str>) -> Result<String, Refusal> {
    let bad = || Refusal::bad("the path or query is not escaped UTF-8");
    let mut uri = String::new();
    escape(
        &percent_decode(path, false).ok_or_else(bad)?,
        b"/:@!$&'()*+,;=",
        &mut uri,
    );
    let pairs: Vec<&str> = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .collect();
    for (number, pair) in pairs.into_iter().enumerate() {
        uri.push(if number == 0 { '?' } else { '&' });
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        escape(&percent_decode(name, true).ok_or_else(bad)?, b"", &mut uri);
        uri.push('=');
        escape(&percent_decode(value, true).ok_or_else(bad)?, b"", &mut uri);
    }
    Ok(uri)
}

fn escape(text: &str, allowed: &[u8], out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || allowed.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Headers by the names that Go gives them; what is there several times is joined.
fn headers(map: &HeaderMap) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in map {
        if SECRET.contains(&name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        all.entry(title(name.as_str()))
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    all
}

/// `content-type` → `Content-Type`.
fn title(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|c| {
            let c = if start { c.to_ascii_uppercase() } else { c };
            start = c == '-';
            c
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_meaning_has_one_form() {
        let one = |uri: &str| {
            let (path, query) = uri
                .split_once('?')
                .map_or((uri, None), |(p, q)| (p, Some(q)));
            canonical(path, query).unwrap()
        };
        for uri in [
            "/v1.51/containers/create?name=a",
            "/v1.51/containers/cre%61te?n%61me=%61",
            "/v1%2E51/containers%2fcreate?&name=a&",
        ] {
            assert_eq!(one(uri), "/v1.51/containers/create?name=a");
        }
        assert_eq!(one("/a%3Fb?x=1+2&y"), "/a%3Fb?x=1%202&y=");
        assert!(canonical("/%", None).is_err() && canonical("/", Some("%ff")).is_err());
    }

    #[test]
    fn headers_are_named_as_go_does_and_hold_no_credentials() {
        let mut map = HeaderMap::new();
        map.append("x-a", "1".parse().unwrap());
        map.append("x-a", "2".parse().unwrap());
        map.append("x-registry-auth", "secret".parse().unwrap());
        let all = headers(&map);
        assert_eq!(all, BTreeMap::from([("X-A".to_owned(), "1, 2".to_owned())]));
    }
}
