//! Credentials, challenges and tokens.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use types::image::RegistryAuth;

use crate::error::{Error, Result};

/// What the user gave to prove who they are.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) basic: Option<(String, String)>,
    pub(crate) identity_token: Option<String>,
    pub(crate) registry_token: Option<String>,
}

/// Secrets do not belong into logs.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.basic.as_ref().map(|b| &b.0))
            .finish()
    }
}

impl Credentials {
    pub(crate) fn of(auth: Option<&RegistryAuth>) -> Result<Self> {
        let Some(auth) = auth else {
            return Ok(Self::default());
        };
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let mut basic = given(&auth.username).map(|user| (user, auth.password.clone()));
        if basic.is_none() && !auth.auth.is_empty() {
            let malformed =
                || Error::Invalid("registry credentials: `auth` is malformed".to_owned());
            let bytes = STANDARD
                .decode(&auth.auth)
                .or_else(|_| URL_SAFE.decode(&auth.auth))
                .map_err(|_| malformed())?;
            let text = String::from_utf8(bytes).map_err(|_| malformed())?;
            let (user, password) = text.split_once(':').ok_or_else(malformed)?;
            basic = Some((user.to_owned(), password.trim_end_matches('\0').to_owned()));
        }
        Ok(Self {
            basic,
            identity_token: given(&auth.identitytoken),
            registry_token: given(&auth.registrytoken),
        })
    }

    pub(crate) fn basic_header(&self) -> Option<String> {
        let (user, password) = self.basic.as_ref()?;
        Some(format!(
            "Basic {}",
            STANDARD.encode(format!("{user}:{password}"))
        ))
    }
}

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: String,
        scope: Option<String>,
    },
}

/// Reads the `WWW-Authenticate` header; a token is preferred where both are offered.
pub(crate) fn challenge<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut found = None;
    for header in headers {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            let mut values = parameters(rest);
            let mut take = |key: &str| {
                let at = values
                    .iter()
                    .position(|(k, _)| k.eq_ignore_ascii_case(key))?;
                Some(values.swap_remove(at).1)
            };
            let realm = take("realm")?;
            let service = take("service").unwrap_or_default();
            return Some(Challenge::Bearer {
                realm,
                service,
                scope: take("scope"),
            });
        }
        if scheme.eq_ignore_ascii_case("basic") {
            found = Some(Challenge::Basic);
        }
    }
    found
}

/// `key="value", key=value`, where a quoted value may have commas and escaped quotes.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_owned();
        let mut value = String::new();
        let after = after.trim_start();
        let mut chars = after.char_indices();
        let mut end = after.len();
        if after.starts_with('"') {
            chars.next();
            let mut escaped = false;
            for (at, c) in chars {
                match c {
                    _ if escaped => {
                        value.push(c);
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    c => value.push(c),
                }
            }
        } else {
            end = after.find(',').unwrap_or(after.len());
            value.push_str(after[..end].trim());
        }
        all.push((key, value));
        rest = &after[end..];
    }
    all
}

/// What a token server answers.
#[derive(serde::Deserialize)]
pub(crate) struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    pub(super) refresh_token: Option<String>,
    /// For how many seconds the token is good.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl TokenAnswer {
    /// For how many seconds it is good, where that can be read.
    pub(super) fn seconds(&self) -> Option<u64> {
        self.expires_in.as_u64()
    }

    pub(crate) fn header(self) -> Option<String> {
        let token = self
            .token
            .or(self.access_token)
            .filter(|token| !token.is_empty())?;
        Some(format!("Bearer {token}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer = r#"Bearer realm="https://a/token",service="reg, \"x\"",scope="repository:a/b:pull,push""#;
        let read = challenge(["Basic realm=\"x\"", bearer].into_iter());
        assert_eq!(
            read,
            Some(Challenge::Bearer {
                realm: "https://a/token".into(),
                service: "reg, \"x\"".into(),
                scope: Some("repository:a/b:pull,push".into()),
            })
        );
        assert_eq!(
            challenge(["basic realm=x"].into_iter()),
            Some(Challenge::Basic)
        );
        assert_eq!(challenge(["Negotiate"].into_iter()), None);
        assert_eq!(challenge(["Bearer service=x"].into_iter()), None);
        assert_eq!(
            parameters("a=b , c=\"d"),
            [("a".into(), "b".into()), ("c".into(), "d".into())]
        );
    }

    #[test]
    fn packed_credentials_are_read_and_not_shown() {
        let auth = RegistryAuth {
            auth: STANDARD.encode("me:s:ecret"),
            ..Default::default()
        };
        let read = Credentials::of(Some(&auth)).unwrap();
        assert_eq!(read.basic, Some(("me".into(), "s:ecret".into())));
        assert!(!format!("{read:?}").contains("ecret"));
    }
}
