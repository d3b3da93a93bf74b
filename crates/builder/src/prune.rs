//! What the cache has, and removing of it.

use image::Digest;
use types::build::{PruneAnswer, PruneRequest, Record};

use crate::{Builder, error::Result};

impl Builder {
    /// All records of the cache, those used last first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let cache = self.store.cache_records().into_iter();
        let mut records: Vec<Record> = cache
            .filter(|(record, _)| record.kind != "internal")
            .map(|(record, shared)| Record {
                id: record.key.hex().to_owned(),
                parents: record.parents.iter().map(|p| p.hex().to_owned()).collect(),
                kind: record.kind,
                description: record.description,
                in_use: false,
                shared,
                size: record
                    .layer
                    .map_or(0, |l| i64::try_from(l.size()).unwrap_or(i64::MAX)),
                created_at: record.created,
                last_used_at: Some(record.last_used),
                usage_count: i64::try_from(record.uses).unwrap_or(i64::MAX),
            })
            .collect();
        records.extend(self.caches.records());
        let pool = self.contexts.pool.size();
        if pool > 0 {
            records.push(Record {
                id: POOL.to_owned(),
                kind: "source.local".to_owned(),
                description: "local source for context".to_owned(),
                size: i64::try_from(pool).unwrap_or(i64::MAX),
                created_at: crate::session::now(),
                usage_count: 1,
                ..Record::default()
            });
        }
        records.sort_by(|a, b| b.last_used_at.cmp(&a.last_used_at));
        records
    }

    /// Removes what the request says. Records that others stand on go with those, unless `all`,
    /// where what images have, too, goes as well.
    ///
    /// # Errors
    /// When files cannot be removed.
    pub fn prune(&self, request: &PruneRequest) -> Result<PruneAnswer> {
        let mut answer = PruneAnswer::default();
        let mut records = self.records();
        let mut left: i64 = records.iter().map(|r| r.size).sum();
        let old = |time: &str| {
            let time = time.parse::<jiff::Timestamp>();
            let age = time.map(|t| jiff::Timestamp::now().as_second() - t.as_second());
            age.is_ok_and(|age| age >= request.unused_for)
        };
        let wanted = |record: &Record| {
            let by_id = request.ids.is_empty()
                || request
                    .ids
                    .iter()
                    .any(|id| record.id.starts_with(id.as_str()));
            let by_kind = request.kinds.is_empty() || request.kinds.contains(&record.kind);
            let used = record.last_used_at.as_ref().unwrap_or(&record.created_at);
            by_id && by_kind && !record.in_use && (request.unused_for == 0 || old(used))
        };
        // Those that were used longest ago first.
        records.reverse();
        let mut keys = Vec::new();
        for record in records.iter().filter(|r| wanted(r)) {
            if request.keep > 0 && left <= request.keep {
                break;
            }
            left -= record.size;
            match record.kind.as_str() {
                "exec.cachemount" => {
                    if self.caches.remove(&record.id) {
                        answer.space_reclaimed += record.size;
                        answer.caches_deleted.push(record.id.clone());
                    }
                }
                "source.local" => {
                    // Builds that go on may rely on any of them.
                    let Some(_alone) = self.alone() else {
                        continue;
                    };
                    let bytes = self.contexts.prune(true);
                    answer.space_reclaimed += i64::try_from(bytes).unwrap_or(i64::MAX);
                    answer.caches_deleted.push(record.id.clone());
                }
                _ if record.shared && !request.all && request.ids.is_empty() => {}
                _ => keys.extend(Digest::from_hex(&record.id)),
            }
        }
        if request.ids.is_empty() && request.keep == 0 && request.unused_for == 0 && request.all {
            let internal = self.store.cache_records().into_iter();
            keys.extend(
                internal
                    .filter(|(r, _)| r.kind == "internal")
                    .map(|(r, _)| r.key),
            );
        }
        let dropped = self.store.forget(&keys)?;
        let gone = dropped.keys.iter().map(|k| k.hex().to_owned());
        answer.caches_deleted.extend(gone);
        answer.space_reclaimed += i64::try_from(dropped.bytes).unwrap_or(i64::MAX);
        Ok(answer)
    }
}

/// What stands for all contexts' files.
const POOL: &str = "contexts";
