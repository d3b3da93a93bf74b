//! What the cache has, and removing of it.

use std::sync::PoisonError;

use image::CacheUse;
use types::build::{PruneAnswer, PruneRequest, Record};

use crate::{
    Builder,
    error::Result,
    gc::Disk,
    sweep::{self, Item, Part},
};

/// What stands for all contexts' files.
const POOL: &str = "contexts";
/// Its kind.
const LOCAL: &str = "source.local";
/// What is not shown.
const INTERNAL: &str = "internal";

fn as_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn millis(text: &str) -> i64 {
    let time = text.parse::<jiff::Timestamp>();
    time.map_or(0, jiff::Timestamp::as_millisecond)
}

fn time(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.to_string()
}

fn told(
    CacheUse {
        record,
        shared,
        in_use,
    }: CacheUse,
) -> Record {
    Record {
        id: record.key.hex().to_owned(),
        parents: record.parents.iter().map(|p| p.hex().to_owned()).collect(),
        kind: record.kind,
        description: record.description,
        in_use,
        shared,
        size: record.layer.map_or(0, |l| as_i64(l.size())),
        created_at: record.created,
        last_used_at: Some(record.last_used),
        usage_count: as_i64(record.uses),
    }
}

/// Whether a request means what has this identifier and kind and was used last at that time.
fn meant(request: &PruneRequest) -> impl Fn(&str, &str, i64) -> bool {
    let now = jiff::Timestamp::now().as_millisecond();
    let PruneRequest {
        ids,
        kinds,
        unused_for,
        ..
    } = request;
    move |id, kind, used| {
        let by_id = ids.is_empty() || ids.iter().any(|own| id.starts_with(own.as_str()));
        let by_kind = kinds.is_empty() || kinds.iter().any(|own| own == kind);
        let old = now - used >= unused_for.saturating_mul(1000);
        by_id && by_kind && (*unused_for == 0 || old)
    }
}

impl Builder {
    /// All records of the cache, those used last first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let cache = self.store.cache_records().into_iter();
        let shown = cache.filter(|r| r.record.kind != INTERNAL);
        let mut records: Vec<Record> = shown.map(told).collect();
        records.extend(self.caches.records());
        let pool = self.contexts.pool.contents();
        let used = pool.iter().map(|(_, c)| c.used);
        if let (Some(first), Some(last)) = (used.clone().min(), used.max()) {
            records.push(Record {
                id: POOL.to_owned(),
                kind: LOCAL.to_owned(),
                description: "local source for context".to_owned(),
                size: pool.iter().map(|(_, c)| as_i64(c.size)).sum(),
                created_at: time(first),
                last_used_at: Some(time(last)),
                usage_count: 1,
                ..Record::default()
            });
        }
        records.sort_by(|a, b| b.last_used_at.cmp(&a.last_used_at));
        records
    }

    /// Removes what the request says, what was used longest ago first. What images have, too, stays
    /// unless `all`, and so does what a build relies on.
    ///
    /// # Errors
    /// When files cannot be removed.
    pub fn prune(&self, request: &PruneRequest) -> Result<PruneAnswer> {
        self.sweep(request, false)
    }

    /// [`Builder::prune`], also for the bound that is kept `by_itself`.
    pub(crate) fn sweep(&self, request: &PruneRequest, by_itself: bool) -> Result<PruneAnswer> {
        let _only = self.sweeping.lock().unwrap_or_else(PoisonError::into_inner);
        let records = self.store.cache_records();
        let unused = self.unused_before(by_itself);
        let mut items = self.items(request, &records);
        let total = sweep::total(&items).saturating_add(as_i64(self.contexts.pool.size()));
        let allowed = sweep::allowed(request, total, Disk::of(&self.temp).free);
        let mut answer = PruneAnswer::default();
        if allowed.is_some_and(|allowed| total <= allowed) {
            // As nearly always: contents, of which there are many, need not be looked at.
            return Ok(answer);
        }
        self.add_contents(request, unused, &mut items);
        let mut keys = Vec::new();
        let mut pool = false;
        let sizes: std::collections::HashMap<_, _> = items
            .iter()
            .filter_map(|i| match &i.part {
                Part::Content(digest) => Some((digest.hex().to_owned(), i.size)),
                Part::Mount(name) => Some((name.clone(), i.size)),
                Part::Record(_) => None,
            })
            .collect();
        let size = |name: &str| sizes.get(name).copied().unwrap_or(0);
        for part in sweep::choose(items, allowed) {
            match part {
                Part::Record(key) => keys.push(key),
                Part::Mount(name) if self.caches.remove(&name) => {
                    answer.space_reclaimed += size(&name);
                    answer.caches_deleted.push(name);
                }
                Part::Content(digest) if self.contexts.pool.remove(&digest, unused) => {
                    answer.space_reclaimed += size(digest.hex());
                    pool = true;
                }
                Part::Mount(_) | Part::Content(_) => {}
            }
        }
        if pool {
            answer.caches_deleted.push(POOL.to_owned());
            if allowed.is_none() {
                self.contexts.forget();
            }
        }
        let whole = request.ids.is_empty() && request.kinds.is_empty() && request.unused_for == 0;
        if whole && allowed.is_none() && request.all {
            let internal = records.into_iter().filter(|r| r.record.kind == INTERNAL);
            keys.extend(internal.map(|r| r.record.key));
        }
        if keys.is_empty() {
            return Ok(answer);
        }
        let dropped = self.store.forget(&keys)?;
        let gone = dropped.keys.iter().map(|k| k.hex().to_owned());
        answer.caches_deleted.extend(gone);
        answer.space_reclaimed += as_i64(dropped.bytes);
        Ok(answer)
    }

    /// Records and cache mounts, and of each whether the request means it.
    fn items(&self, request: &PruneRequest, records: &[CacheUse]) -> Vec<Item> {
        let ids = &request.ids;
        let meant = meant(request);
        let uses = sweep::last_uses(records);
        let shown = records.iter().filter(|r| r.record.kind != INTERNAL);
        let mut items: Vec<Item> = shown
            .map(|r| {
                let (record, key) = (&r.record, &r.record.key);
                let used = uses.get(key).copied().unwrap_or(0);
                let stays = r.in_use || r.shared && !request.all && ids.is_empty();
                Item {
                    part: Part::Record(key.clone()),
                    used,
                    size: record.layer.as_ref().map_or(0, |l| as_i64(l.size())),
                    layer: record.layer.as_ref().map(|l| l.diff_id().clone()),
                    shared: r.shared,
                    wanted: !stays && meant(key.hex(), &record.kind, used),
                }
            })
            .collect();
        items.extend(self.caches.records().into_iter().map(|record| {
            let used = record.last_used_at.as_ref().unwrap_or(&record.created_at);
            let used = millis(used);
            Item {
                used,
                size: record.size,
                layer: None,
                shared: false,
                wanted: !record.in_use && meant(&record.id, &record.kind, used),
                part: Part::Mount(record.id),
            }
        }));
        items
    }

    /// Contents of contexts, and of each whether the request means it.
    fn add_contents(&self, request: &PruneRequest, unused: i64, items: &mut Vec<Item>) {
        let meant = meant(request);
        let contents = self.contexts.pool.contents().into_iter();
        items.extend(contents.map(|(digest, content)| {
            let used = content.used.saturating_mul(1000);
            Item {
                used,
                size: as_i64(content.size),
                layer: None,
                shared: false,
                wanted: content.used < unused && meant(POOL, LOCAL, used),
                part: Part::Content(digest),
            }
        }));
    }
}
