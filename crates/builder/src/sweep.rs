//! Which parts of the cache go: those that were used longest ago, until what is left keeps a bound.
//! Nothing is removed here.

use std::collections::{HashMap, HashSet};

use image::{CacheUse, Digest};
use types::build::PruneRequest;

/// A part of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// What a step came to.
    Record(Digest),
    /// A cache mount, by its directory's name.
    Mount(String),
    /// A content of contexts.
    Content(Digest),
}

/// What there is to know of one.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub part: Part,
    /// When it was used last, in milliseconds since 1970.
    pub used: i64,
    /// Bytes that go with it, or with the last of those that have its layer.
    pub size: i64,
    /// What it has in common with others.
    pub layer: Option<Digest>,
    /// Images have it, too: nothing is to be had.
    pub shared: bool,
    /// It may be removed.
    pub wanted: bool,
}

/// Bytes of cache that may stay; nothing where no bound is given, so that all goes.
pub(crate) fn allowed(request: &PruneRequest, total: i64, free: i64) -> Option<i64> {
    let PruneRequest {
        keep,
        max_used,
        min_free,
        ..
    } = *request;
    if keep <= 0 && max_used <= 0 && min_free <= 0 {
        return None;
    }
    let mut most = match (max_used, min_free) {
        (max, _) if max > 0 => max,
        (_, min) if min > 0 => i64::MAX,
        _ => keep,
    };
    let lacking = min_free.saturating_sub(free);
    if min_free > 0 && lacking > 0 {
        most = most.min(total.saturating_sub(lacking));
    }
    Some(most.max(keep))
}

/// Bytes of all parts, each layer once, without those that images have anyway.
pub(crate) fn total(items: &[Item]) -> i64 {
    let mut seen = HashSet::new();
    let own = items.iter().filter(|i| !i.shared);
    let own = own.filter(|i| i.layer.as_ref().is_none_or(|l| seen.insert(l)));
    own.map(|i| i.size).sum()
}

/// Those that go, in the order in which they do.
pub(crate) fn choose(mut items: Vec<Item>, allowed: Option<i64>) -> Vec<Part> {
    let mut left = total(&items);
    let mut users: HashMap<Digest, usize> = HashMap::new();
    for layer in items.iter().filter_map(|i| i.layer.as_ref()) {
        *users.entry(layer.clone()).or_default() += 1;
    }
    items.retain(|item| item.wanted);
    items.sort_by_key(|item| item.used);
    let mut gone = Vec::new();
    for item in items {
        if allowed.is_some_and(|allowed| left <= allowed) {
            break;
        }
        let last = match &item.layer {
            None => true,
            Some(layer) => users.get_mut(layer).is_none_or(|users| {
                *users -= 1;
                *users == 0
            }),
        };
        if last && !item.shared {
            left -= item.size;
        }
        gone.push(item.part);
    }
    gone
}

/// When records were used last, in milliseconds since 1970; one counts as used when what stands on it
/// was, and a little later, as that is of no use without it.
pub(crate) fn last_uses(records: &[CacheUse]) -> HashMap<Digest, i64> {
    let parse = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let own = records.iter().map(|r| {
        let time = parse(&r.record.last_used).map_or(0, jiff::Timestamp::as_millisecond);
        (r.record.key.clone(), time)
    });
    let mut uses: HashMap<Digest, i64> = own.collect();
    let mut children: HashMap<&Digest, usize> = HashMap::new();
    let parents: HashMap<&Digest, &[Digest]> = records
        .iter()
        .map(|r| (&r.record.key, r.record.parents.as_slice()))
        .collect();
    for parent in parents.values().copied().flatten() {
        *children.entry(parent).or_default() += 1;
    }
    // From the newest down; a ring, which only a damaged file has, is left alone.
    let mut ready: Vec<&Digest> = parents.keys().copied().collect();
    ready.retain(|key| !children.contains_key(key));
    while let Some(key) = ready.pop() {
        let time = uses.get(key).copied().unwrap_or(0);
        for parent in parents.get(key).copied().unwrap_or_default() {
            if let Some(own) = uses.get_mut(parent) {
                *own = (*own).max(time.saturating_add(1));
            }
            if let Some(left) = children.get_mut(parent) {
                *left -= 1;
                if *left == 0 {
                    ready.push(parent);
                }
            }
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use image::CacheRecord;

    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn item(name: &str, used: i64, size: i64, layer: Option<&str>) -> Item {
        Item {
            part: Part::Mount(name.to_owned()),
            used,
            size,
            layer: layer.map(digest),
            shared: false,
            wanted: true,
        }
    }

    fn names(parts: &[Part]) -> Vec<&str> {
        parts
            .iter()
            .map(|part| match part {
                Part::Mount(name) => name.as_str(),
                _ => "other",
            })
            .collect()
    }

    #[test]
    fn what_may_stay_is_what_buildkit_says() {
        let allowed = |keep, max_used, min_free, free| {
            let request = PruneRequest {
                keep,
                max_used,
                min_free,
                ..PruneRequest::default()
            };
            super::allowed(&request, 100, free)
        };
        assert_eq!(allowed(0, 0, 0, 0), None);
        assert_eq!(allowed(10, 0, 0, 0), Some(10));
        assert_eq!(allowed(10, 50, 0, 0), Some(50));
        assert_eq!(allowed(60, 50, 0, 0), Some(60));
        assert_eq!(allowed(10, 0, 40, 50), Some(i64::MAX));
        assert_eq!(allowed(10, 0, 40, 20), Some(80));
        assert_eq!(allowed(10, 50, 40, 20), Some(50));
        assert_eq!(allowed(10, 50, 400, 0), Some(10));
    }

    #[test]
    fn a_layer_counts_once_and_goes_with_its_last_record() {
        let mut items = vec![
            item("new", 9, 10, None),
            item("a", 1, 40, Some("l")),
            item("b", 2, 40, Some("l")),
            item("c", 3, 5, Some("m")),
        ];
        assert_eq!(total(&items), 55);
        assert_eq!(names(&choose(items.clone(), Some(55))), [""; 0]);
        // One alone gives nothing.
        assert_eq!(names(&choose(items.clone(), Some(54))), ["a", "b"]);
        assert_eq!(names(&choose(items.clone(), Some(14))), ["a", "b", "c"]);
        assert_eq!(choose(items.clone(), None).len(), 4);
        // What is held counts, and does not go; what images have does not count.
        items[1].wanted = false;
        assert_eq!(names(&choose(items.clone(), Some(50))), ["b", "c"]);
        items[1].shared = true;
        items[2].shared = true;
        assert_eq!(total(&items), 15);
        assert_eq!(names(&choose(items, Some(10))), ["b", "c"]);
    }

    #[test]
    fn what_others_stand_on_goes_after_them() {
        let record = |key: &str, parent: Option<&str>, used: &str| CacheUse {
            record: CacheRecord {
                key: digest(key),
                kind: "regular".to_owned(),
                description: String::new(),
                parents: parent.map(digest).into_iter().collect(),
                layer: None,
                note: String::new(),
                created: String::new(),
                last_used: used.to_owned(),
                uses: 1,
            },
            shared: false,
            in_use: false,
        };
        let uses = last_uses(&[
            record("base", None, "2026-01-01T00:00:00Z"),
            record("next", Some("base"), "2026-01-02T00:00:00Z"),
            record("last", Some("next"), "2026-01-02T00:00:00Z"),
            record("other", Some("base"), "2026-01-01T00:00:00Z"),
            record("ring", Some("ring"), "nonsense"),
        ]);
        assert!(uses[&digest("base")] > uses[&digest("next")]);
        assert!(uses[&digest("next")] > uses[&digest("last")]);
        assert!(uses[&digest("other")] < uses[&digest("last")]);
        assert_eq!(uses[&digest("ring")], 0);
    }
}
