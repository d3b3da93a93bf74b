//! Files of the web, fetched again only where they changed.

use image::{CacheRecord, Digest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Fetcher;
use crate::{error::Result, keys, session::now};

/// What a URL gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Found {
    pub digest: Digest,
    pub size: u64,
    /// When it was changed, by its server, seconds since 1970.
    pub modified: Option<i64>,
    /// What the server calls this state of it.
    pub etag: Option<String>,
}

impl Fetcher<'_> {
    /// What a URL has, in the pool. It is not asked for where it is known to have had `wanted`, and
    /// not sent again where its server says that it is the same.
    pub(super) fn url(self, source: &str, wanted: Option<&Digest>) -> Result<Found> {
        let (store, contexts) = (&self.builder.store, &self.builder.contexts);
        let key = keys::key("url", &[], json!(source), None);
        let known = store
            .cached(&key)
            .and_then(|(record, _)| serde_json::from_str::<Found>(&record.note).ok())
            // It is really there, and can no more go: this build has begun.
            .filter(|known| {
                let hex = std::iter::once(known.digest.hex());
                contexts.pool.touch(hex).is_empty() && contexts.pool.file(&known.digest).is_ok()
            });
        if let (Some(known), Some(wanted)) = (&known, wanted)
            && known.digest == *wanted
        {
            return Ok(known.clone());
        }
        let etag = known.as_ref().and_then(|known| known.etag.as_deref());
        let mut writer = contexts.pool.writer()?;
        let cancel = &self.session.cancel;
        let fetched = self
            .builder
            .worker
            .fetch(source, etag, &mut writer, cancel)?;
        if let Some(known) = known.filter(|_| fetched.unchanged) {
            return Ok(known);
        }
        let (digest, size) = writer.keep()?;
        let found = Found {
            digest,
            size,
            modified: fetched.modified,
            etag: fetched.etag,
        };
        let created = now();
        store.remember(CacheRecord {
            key,
            kind: "internal".to_owned(),
            description: "what a URL has".to_owned(),
            parents: Vec::new(),
            layer: None,
            note: serde_json::to_string(&found).unwrap_or_default(),
            created: created.clone(),
            last_used: created,
            uses: 1,
        })?;
        Ok(found)
    }
}

/// What a file is called by its URL: the last part of the path.
pub(super) fn name_of(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let path = path.split_once('/').map_or("", |(_, path)| path);
    let path = decoded(path);
    let name = path.trim_end_matches('/').rsplit('/').next();
    match name.unwrap_or_default() {
        // As Docker.
        "" | "." | ".." => "__unnamed__".to_owned(),
        name if name.contains('\0') => "__unnamed__".to_owned(),
        name => name.to_owned(),
    }
}

/// Without `%20` and the like; what is no text then stays as it is.
pub(super) fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after
            .first_chunk::<2>()
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_last_part_of_the_path() {
        for (url, name) in [
            ("http://x/a/b.txt?c=/d#e/f", "b.txt"),
            ("http://x/a/", "a"),
            ("http://x/a%20b%2fc", "c"),
            ("http://x/a%20b", "a b"),
            ("http://x/%zz%4", "%zz%4"),
            ("http://x/%ff", "%ff"),
            ("http://x/..", "__unnamed__"),
            ("http://x/%2e%2e", "__unnamed__"),
            ("http://x", "__unnamed__"),
            ("http://x/%00", "__unnamed__"),
        ] {
            assert_eq!(name_of(url), name, "{url}");
        }
    }
}
