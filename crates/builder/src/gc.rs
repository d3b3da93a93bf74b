//! The cache's bound, kept by itself: Docker's rules, one after the other, some time after a build and
//! now and then. A build is never waited for, and waits for none of it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use image::Digest;
use types::build::PruneRequest;

use crate::{Builder, error::Result};

/// Seconds that contents of contexts are left alone for after their last use: a client may have told
/// of them, and the build is on its way.
pub(crate) const GRACE: i64 = 60;
/// How long after a build it is looked at the cache.
const PAUSE: Duration = Duration::from_secs(1);
/// Records that are kept, whatever they weigh.
const MAX_RECORDS: usize = 50_000;
/// Seconds that a remembered time of an image is kept for.
const MAX_INTERNAL: i64 = 60 * 24 * 3600;
/// What is reserved where nobody knows how large the disk is.
const FALLBACK: i64 = 2_000_000_000;
/// Of what is reserved, how much of what is cheap to have again is kept beyond two days.
const CHEAP: i64 = 13;

/// An amount of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// That many bytes.
    Bytes(i64),
    /// That many hundredths of the whole disk.
    Percent(i64),
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// What images have, too, and what is the builder's own, as well.
    pub all: bool,
    /// Kinds of records; all where there are none.
    pub kinds: Vec<String>,
    /// Records by their identifiers; all where there are none.
    pub ids: Vec<String>,
    /// Seconds since the last use, at least.
    pub unused_for: i64,
    /// What always may stay.
    pub reserved: Option<Amount>,
    /// What may stay at most.
    pub max_used: Option<Amount>,
    /// What of the disk is to be free.
    pub min_free: Option<Amount>,
}

/// What is kept of the cache. Without rules, all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound(pub Vec<Rule>);

impl Default for Bound {
    fn default() -> Self {
        Self::usual(
            Some(Amount::Percent(10)),
            Some(Amount::Percent(80)),
            Some(Amount::Percent(20)),
        )
    }
}

impl Bound {
    /// Docker's rules for these amounts.
    #[must_use]
    pub fn usual(
        reserved: Option<Amount>,
        max_used: Option<Amount>,
        min_free: Option<Amount>,
    ) -> Self {
        let rule = Rule {
            reserved,
            max_used,
            min_free,
            ..Rule::default()
        };
        let cheap = match reserved {
            Some(Amount::Bytes(bytes)) => Amount::Bytes(bytes / CHEAP),
            Some(Amount::Percent(_)) | None => Amount::Bytes(512_000_000),
        };
        let kinds = ["source.local", "exec.cachemount", "source.git.checkout"];
        Self(vec![
            // What is had again easily, when the cache has some size.
            Rule {
                kinds: kinds.map(str::to_owned).to_vec(),
                unused_for: 48 * 3600,
                max_used: Some(cheap),
                ..Rule::default()
            },
            Rule {
                unused_for: 60 * 24 * 3600,
                ..rule.clone()
            },
            rule.clone(),
            Rule { all: true, ..rule },
        ])
    }
}

/// A disk's size, and what of it is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    pub total: i64,
    pub free: i64,
}

impl Disk {
    /// That of a directory; nothing is known of it where it cannot be asked.
    pub(crate) fn of(path: &std::path::Path) -> Self {
        let bytes = |blocks: u64, size: u64| {
            let bytes = blocks.saturating_mul(size);
            i64::try_from(bytes).unwrap_or(i64::MAX)
        };
        match rustix::fs::statvfs(path) {
            Ok(stat) => Self {
                total: bytes(stat.f_blocks, stat.f_frsize),
                free: bytes(stat.f_bavail, stat.f_frsize),
            },
            Err(_) => Self {
                total: 0,
                free: i64::MAX,
            },
        }
    }

    fn amount(self, amount: Option<Amount>) -> i64 {
        match amount {
            None => 0,
            Some(Amount::Bytes(bytes)) => bytes,
            Some(Amount::Percent(_)) if self.total == 0 => FALLBACK,
            Some(Amount::Percent(n)) => self.total / 100 * n,
        }
    }
}

impl Rule {
    fn request(&self, disk: Disk) -> PruneRequest {
        PruneRequest {
            all: self.all,
            keep: disk.amount(self.reserved),
            max_used: disk.amount(self.max_used),
            min_free: disk.amount(self.min_free),
            unused_for: self.unused_for,
            ids: self.ids.clone(),
            kinds: self.kinds.clone(),
        }
    }
}

impl Builder {
    /// Looks at the cache some time from now, unless somebody is about to.
    pub fn collect_later(self: &Arc<Self>) {
        if self.waiting.swap(true, Ordering::Relaxed) {
            return;
        }
        let builder = Arc::downgrade(self);
        let work = move || {
            std::thread::sleep(PAUSE);
            let Some(builder) = builder.upgrade() else {
                return;
            };
            builder.waiting.store(false, Ordering::Relaxed);
            builder.collect();
        };
        let thread = std::thread::Builder::new().name("build-cache-gc".to_owned());
        if let Err(error) = thread.spawn(work) {
            tracing::warn!(%error, "the build cache is not looked at");
            self.waiting.store(false, Ordering::Relaxed);
        }
    }

    /// Writes down what was used, and removes what the bound does not keep. Blocks.
    pub fn collect(&self) {
        if let Err(error) = self.store.note_uses() {
            tracing::warn!(%error, "which parts of the build cache were used is not noted");
        }
        for rule in &self.bound.0 {
            let request = rule.request(Disk::of(&self.temp));
            match self.sweep(&request, true) {
                Ok(gone) if gone.caches_deleted.is_empty() => {}
                Ok(gone) => tracing::info!(
                    records = gone.caches_deleted.len(),
                    bytes = gone.space_reclaimed,
                    "the build cache is kept within its bound"
                ),
                Err(error) => tracing::warn!(%error, "the build cache's bound is not kept"),
            }
        }
        if !self.bound.0.is_empty()
            && let Err(error) = self.forget_small()
        {
            tracing::warn!(%error, "old records of the build cache stay");
        }
    }

    /// Forgets what has no weight, and is there in numbers.
    fn forget_small(&self) -> Result<()> {
        let records = self.store.cache_records();
        let now = jiff::Timestamp::now().as_second();
        let time = |text: &str| {
            let time = text.parse::<jiff::Timestamp>();
            time.map_or(0, jiff::Timestamp::as_second)
        };
        let mut all: Vec<(i64, bool, Digest)> = records
            .into_iter()
            .filter(|r| !r.in_use)
            .map(|r| {
                let internal = r.record.kind == "internal";
                (time(&r.record.last_used), internal, r.record.key)
            })
            .collect();
        all.sort();
        let surplus = all.len().saturating_sub(MAX_RECORDS);
        let old = |used: i64, internal: bool| internal && now - used > MAX_INTERNAL;
        let gone: Vec<Digest> = all
            .into_iter()
            .enumerate()
            .filter(|(at, (used, internal, _))| *at < surplus || old(*used, *internal))
            .map(|(_, (.., key))| key)
            .collect();
        if !gone.is_empty() {
            self.store.forget(&gone)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_of_the_disk() {
        let disk = Disk {
            total: 1000,
            free: 100,
        };
        let rules = Bound::default().0;
        let kept: Vec<_> = rules
            .iter()
            .map(|rule| rule.request(disk))
            .map(|r| (r.keep, r.max_used, r.min_free, r.all))
            .collect();
        assert_eq!(
            kept,
            [
                (0, 512_000_000, 0, false),
                (100, 800, 200, false),
                (100, 800, 200, false),
                (100, 800, 200, true)
            ]
        );
        let own = Bound::usual(Some(Amount::Bytes(1300)), None, None).0;
        assert_eq!(own[0].request(disk).max_used, 100);
        assert_eq!(own[2].request(disk).keep, 1300);
        let unknown = Disk {
            total: 0,
            free: i64::MAX,
        };
        assert_eq!(rules[2].request(unknown).keep, FALLBACK);
        assert!(Disk::of(std::path::Path::new("/")).total > 0);
    }
}
