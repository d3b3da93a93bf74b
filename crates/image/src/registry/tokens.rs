//! Tokens that are good for a while: one for each token server, user and scope, so that a second
//! pull does not ask again. Only in memory, and never given to who did not show the credentials
//! that it was got with.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::auth::Credentials;
use crate::digest::Digest;

/// Most tokens that are kept.
const MOST: usize = 64;
/// For how long a token is good where its server does not say, by the specification.
const DEFAULT: Duration = Duration::from_secs(60);
/// How long before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(10);
/// No token is trusted to be good for longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// Those that are kept.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<Digest, Kept>>);

struct Kept {
    header: String,
    until: Instant,
}

/// Secrets do not belong into logs.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("until", &self.until).finish()
    }
}

/// What a token was got for and with. The secrets in it are not kept.
pub(super) fn key(realm: &str, service: &str, scopes: &[String], who: &Credentials) -> Digest {
    let mut scopes = scopes.to_vec();
    scopes.sort();
    let (user, password) = who.basic.clone().unwrap_or_default();
    let identity = who.identity_token.clone().unwrap_or_default();
    let parts = [
        realm,
        service,
        &scopes.join(" "),
        &user,
        &password,
        &identity,
    ];
    // Lengths keep what belongs to one part out of the next.
    let text: String = parts.map(|part| format!("{}:{part};", part.len())).concat();
    Digest::of(text.as_bytes())
}

impl Tokens {
    fn all(&self) -> MutexGuard<'_, HashMap<Digest, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token for `key`, unless it is the one that was `refused` just now.
    pub(super) fn get(&self, key: &Digest, refused: Option<&str>) -> Option<String> {
        let mut all = self.all();
        let kept = all.get(key)?;
        if kept.until <= Instant::now() || Some(kept.header.as_str()) == refused {
            all.remove(key);
            return None;
        }
        Some(kept.header.clone())
    }

    /// Keeps a token for as long as its server says.
    pub(super) fn put(&self, key: Digest, header: &str, seconds: Option<u64>) {
        let good = seconds.map_or(DEFAULT, Duration::from_secs).min(LONGEST);
        let good = good.saturating_sub(MARGIN);
        if good.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut all = self.all();
        all.retain(|_, kept| kept.until > now);
        if all.len() >= MOST
            && let Some(first) = all.iter().min_by_key(|(_, kept)| kept.until)
        {
            let first = first.0.clone();
            all.remove(&first);
        }
        let header = header.to_owned();
        all.insert(
            key,
            Kept {
                header,
                until: now + good,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: &str, password: &str) -> Credentials {
        Credentials {
            basic: Some((user.into(), password.into())),
            ..Credentials::default()
        }
    }

    #[test]
    fn tokens_are_for_one_user_and_scope() {
        let scopes = ["b".to_owned(), "a".to_owned()];
        let turned = ["a".to_owned(), "b".to_owned()];
        let one = key("r", "s", &scopes, &who("u", "p"));
        assert_eq!(one, key("r", "s", &turned, &who("u", "p")));
        for other in [
            key("r", "s", &scopes, &who("u", "q")),
            key("r", "s", &scopes, &who("up", "")),
            key("r", "s", &scopes[..1], &who("u", "p")),
            key("rs", "", &scopes, &who("u", "p")),
            key("r", "s", &scopes, &Credentials::default()),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn tokens_end_and_their_number_is_bounded() {
        let tokens = Tokens::default();
        let keys: Vec<_> = (0..100).map(|n| Digest::of(&[n])).collect();
        tokens.put(keys[0].clone(), "short", Some(5));
        assert_eq!(tokens.get(&keys[0], None), None, "it would end on its way");
        tokens.put(keys[0].clone(), "a", None);
        assert_eq!(tokens.get(&keys[0], None).as_deref(), Some("a"));
        assert_eq!(tokens.get(&keys[0], Some("a")), None, "it was refused");
        assert_eq!(tokens.get(&keys[0], None), None, "for ever");
        for key in &keys {
            tokens.put(key.clone(), "t", Some(u64::MAX));
        }
        assert_eq!(tokens.all().len(), MOST);
        assert!(!format!("{tokens:?}").contains("\"t\""));
    }
}
