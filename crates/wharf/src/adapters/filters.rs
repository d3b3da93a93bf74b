//! The filters of the list of images.

use std::sync::Arc;

use image::{Image, Store};
use types::{
    Failure,
    options::{Filters, IMAGE_FILTERS},
};

/// The images of `store` that match, newest first.
pub(crate) fn images(store: &Store, filters: &Filters) -> Result<Vec<Arc<Image>>, Failure> {
    if let Some(unknown) = filters
        .keys()
        .find(|k| !IMAGE_FILTERS.contains(&k.as_str()))
    {
        return Err(Failure::invalid(format!("invalid filter '{unknown}'")));
    }
    let edge = |name: &str| -> Result<Option<jiff::Timestamp>, Failure> {
        let Some(reference) = filters.get(name).and_then(|v| v.first()) else {
            return Ok(None);
        };
        let image = store
            .get(reference)
            .map_err(|e| Failure::new(e.kind(), e))?;
        Ok(created(&image))
    };
    let until = filters.get("until").filter(|v| !v.is_empty());
    let until = until.map(|v| moment(v)).transpose()?;
    let (before, since) = (edge("before")?, edge("since")?);
    let dangling = match filters.get("dangling").and_then(|v| v.first()) {
        None => None,
        Some(v) if matches!(v.as_str(), "1" | "true") => Some(true),
        Some(v) if matches!(v.as_str(), "0" | "false") => Some(false),
        Some(v) => return Err(Failure::invalid(format!("invalid filter 'dangling=[{v}]'"))),
    };
    let mut chosen = store.list();
    chosen.retain(|image| {
        let labels = &image.config.config.labels;
        dangling.is_none_or(|d| d == image.tags.is_empty())
            && before.is_none_or(|b| created(image).is_some_and(|c| c < b))
            && since.is_none_or(|s| created(image).is_some_and(|c| c > s))
            && until.is_none_or(|u| created(image).is_some_and(|c| c < u))
            && engine::labels_pass(labels, filters)
            && filters.get("reference").is_none_or(|patterns| {
                image
                    .repo_tags()
                    .iter()
                    .any(|tag| refers_any(patterns, tag))
            })
    });
    Ok(chosen)
}

/// When it was made, as far as it says.
pub(super) fn created(image: &Image) -> Option<jiff::Timestamp> {
    image
        .config
        .created
        .as_deref()
        .and_then(|text| text.parse().ok())
}

/// The one time before which they were made.
fn moment(texts: &[String]) -> Result<jiff::Timestamp, Failure> {
    let wrong = || Failure::invalid(format!("invalid filter 'until={texts:?}'"));
    let [text] = texts else { return Err(wrong()) };
    let nanos = api::parse_time(text).ok_or_else(wrong)?;
    jiff::Timestamp::from_nanosecond(nanos.into()).map_err(|_| wrong())
}

/// Whether any of `patterns` means `tag`.
pub(crate) fn refers_any(patterns: &[String], tag: &str) -> bool {
    patterns.iter().any(|p| refers(p, tag))
}

/// Whether `pattern` (`repository[:tag]` with `*` and `?`) means `tag`. As in Docker, a pattern
/// without a tag is compared with the repository, and `*` does not cross a `/`.
fn refers(pattern: &str, tag: &str) -> bool {
    let repository = tag
        .rsplit_once(':')
        .map_or(tag, |(repository, _)| repository);
    glob(pattern, tag) || glob(pattern, repository)
}

fn glob(pattern: &str, text: &str) -> bool {
    let (patterns, texts) = (pattern.split('/'), text.split('/'));
    patterns.clone().count() == texts.clone().count()
        && patterns
            .zip(texts)
            .all(|(p, t)| glob_segment(p.as_bytes(), t.as_bytes()))
}

/// Goes back to the last `*` only, so that no pattern takes long.
fn glob_segment(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last `*`, and how far what it stands for reaches.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(c) if *c == b'?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((behind, reach)) = star else {
                    return false;
                };
                star = Some((behind, reach + 1));
                (p, t) = (behind, reach + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_dockers() {
        assert!(refers("busy*", "busybox:latest") && refers("busybox:l*", "busybox:latest"));
        assert!(refers("*/hello", "wharf/hello:latest") && !refers("*", "wharf/hello:latest"));
        assert!(!refers("busy", "busybox:latest") && refers("b?s*x*", "busybox:latest"));
        assert!(!refers("*", "a/b:c") && refers("*/*", "a/b:c") && !refers("**", "a/b:c"));
        // Would take years if every `*` were tried with every other.
        let (pattern, tag) = ("*a".repeat(60) + "b", "a".repeat(120) + ":a");
        assert!(!refers(&pattern, &tag));
    }
}
