//! The automatic clean-up of images: what the policy of `daemon.json` wants, and nothing that a
//! container uses, running or not. Volumes and containers are never touched.

use std::{sync::Arc, time::Duration};

use image::Image;
use jiff::Timestamp;
use types::{
    Failure,
    gc::{GcImage, GcReport},
};

use super::{
    Images,
    images::{blocking, failure},
};

/// How long after its start, and then how often, the daemon looks.
const FIRST: Duration = Duration::from_secs(60);
const PERIOD: Duration = Duration::from_secs(600);
/// What is younger does not go by itself where no age is set, in seconds: somebody may be about to
/// use what was just fetched.
const YOUNG: i64 = 3600;

/// What is kept of images that nothing uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ImagePolicy {
    /// The daemon does it by itself.
    pub enabled: bool,
    /// Images may take so many bytes.
    pub keep_storage: Option<u64>,
    /// So many bytes of the disk are to be free.
    pub min_free: Option<u64>,
    /// Younger ones are kept, in seconds.
    pub unused_for: Option<i64>,
}

impl ImagePolicy {
    fn is_set(&self) -> bool {
        self.keep_storage.is_some() || self.min_free.is_some() || self.unused_for.is_some()
    }

    fn words(&self) -> String {
        let mut all = Vec::new();
        if let Some(seconds) = self.unused_for {
            all.push(format!("unused for {seconds} s"));
        }
        if let Some(bytes) = self.keep_storage {
            all.push(format!("while images take more than {bytes} bytes"));
        }
        if let Some(bytes) = self.min_free {
            all.push(format!(
                "while less than {bytes} bytes of the disk are free"
            ));
        }
        all.join(", ")
    }
}

/// An image that could go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    image: GcImage,
    /// Bytes that go with it.
    own: u64,
}

/// Which go: the longest unused first, and no more than is needed.
fn chosen(
    policy: &ImagePolicy,
    mut candidates: Vec<Candidate>,
    now: i64,
    (mut taken, mut free): (u64, u64),
) -> Vec<Candidate> {
    if !policy.is_set() {
        return Vec::new();
    }
    candidates.retain(|c| {
        let unused = now.saturating_sub(c.image.last_used);
        unused >= policy.unused_for.unwrap_or(0)
    });
    candidates
        .sort_by(|a, b| (a.image.last_used, &a.image.id).cmp(&(b.image.last_used, &b.image.id)));
    if policy.keep_storage.is_none() && policy.min_free.is_none() {
        return candidates;
    }
    let mut goes = Vec::new();
    for candidate in candidates {
        let full = policy.keep_storage.is_some_and(|most| taken > most)
            || policy.min_free.is_some_and(|least| free < least);
        if !full {
            break;
        }
        taken = taken.saturating_sub(candidate.own);
        free = free.saturating_add(candidate.own);
        goes.push(candidate);
    }
    goes
}

impl Images {
    /// Does it once, or tells what it would do; `least` is the age where the policy sets none.
    pub(super) async fn clean_up(&self, dry_run: bool, least: i64) -> Result<GcReport, Failure> {
        let policy = self.policy.clone();
        let (engine, store) = (Arc::clone(&self.engine), self.store());
        let mut plan = policy.clone();
        if plan.is_set() {
            plan.unused_for.get_or_insert(least);
        }
        let (goes, usage) = blocking(move || {
            let images = store.list();
            let usage = store.usage();
            let ids: Vec<String> = images.iter().map(|i| i.id.to_string()).collect();
            let used = engine.image_last_uses(&ids);
            let candidates = images
                .iter()
                .filter(|image| engine.users_of(&image.id.to_string()).is_empty())
                .map(|image| {
                    let shared = usage.shared.get(&image.id).copied().unwrap_or(0);
                    candidate(image, image.size.saturating_sub(shared), &used)
                })
                .collect();
            let room = rustix::fs::statvfs(store.root()).map_err(Failure::system)?;
            let free = room.f_bavail.saturating_mul(room.f_frsize);
            let now = Timestamp::now().as_second();
            let goes = chosen(&plan, candidates, now, (usage.layers, free));
            Ok::<_, Failure>((goes, usage.layers))
        })
        .await?;
        let mut report = GcReport {
            enabled: policy.enabled,
            policy: policy.words(),
            dry_run,
            ..GcReport::default()
        };
        if dry_run {
            report.space_reclaimed = goes.iter().map(|c| c.image.size).sum();
            report.images = goes.into_iter().map(|c| c.image).collect();
            return Ok(report);
        }
        self.remove_all(goes, usage, &mut report).await?;
        Ok(report)
    }

    async fn remove_all(
        &self,
        goes: Vec<Candidate>,
        before: u64,
        report: &mut GcReport,
    ) -> Result<(), Failure> {
        let (engine, store) = (Arc::clone(&self.engine), self.store());
        let (gone, removed, warnings, bytes) = blocking(move || {
            let (mut gone, mut removed, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
            for candidate in goes {
                // By its names and without force: one that got a user meanwhile stays.
                let moved = std::cell::Cell::new(false);
                let users = |image: &str| {
                    if image != candidate.image.id {
                        // The name means another image by now, which nobody has chosen.
                        moved.set(true);
                        return vec![(candidate.image.id.clone(), image::Use::Running)];
                    }
                    engine.users_of(image)
                };
                let mut names = candidate.image.names.clone();
                if names.is_empty() {
                    names.push(candidate.image.id.clone());
                }
                let mut whole = true;
                for name in names {
                    match store.remove(&name, false, false, &users).map_err(failure) {
                        Ok(some) => gone.extend(some),
                        Err(_) if moved.take() => {}
                        Err(error) => {
                            whole = false;
                            warnings.push(format!("{name}: {}", error.message));
                        }
                    }
                }
                if whole {
                    removed.push(candidate.image);
                }
            }
            let bytes = before.saturating_sub(store.usage().layers);
            Ok::<_, Failure>((gone, removed, warnings, bytes))
        })
        .await?;
        self.told_gone(gone);
        report.images = removed;
        report.warnings = warnings;
        report.space_reclaimed = bytes.cast_signed();
        Ok(())
    }

    /// Looks now and then, if the policy says so.
    pub(crate) async fn keep_clean(self: Arc<Self>) {
        if !self.policy.enabled {
            return;
        }
        tokio::time::sleep(FIRST).await;
        loop {
            match self.clean_up(false, YOUNG).await {
                Ok(report) if report.images.is_empty() && report.warnings.is_empty() => {}
                Ok(report) => {
                    let names: Vec<String> = report
                        .images
                        .iter()
                        .map(|i| i.names.first().unwrap_or(&i.id).clone())
                        .collect();
                    tracing::info!(
                        images = names.join(", "),
                        bytes = report.space_reclaimed,
                        kept = report.warnings.join("; "),
                        "unused images were removed, as gc says"
                    );
                }
                Err(error) => tracing::warn!(%error, "unused images are not removed"),
            }
            tokio::time::sleep(PERIOD).await;
        }
    }
}

fn candidate(image: &Image, own: u64, used: &std::collections::BTreeMap<String, i64>) -> Candidate {
    let id = image.id.to_string();
    let tagged = image.last_tag_time.as_deref();
    let tagged = tagged.and_then(|t| t.parse::<Timestamp>().ok());
    let known = used.get(&id).copied().unwrap_or(i64::MAX);
    // Its names may be by digest alone.
    let mut names = image.repo_tags();
    if names.is_empty() {
        names = image.repo_digests();
    }
    Candidate {
        image: GcImage {
            names,
            size: own.cast_signed(),
            last_used: known.max(tagged.map_or(0, Timestamp::as_second)),
            id,
        },
        own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(list: &[(&str, u64, i64)]) -> Vec<Candidate> {
        list.iter()
            .map(|(id, own, last_used)| Candidate {
                image: GcImage {
                    id: (*id).to_owned(),
                    last_used: *last_used,
                    ..GcImage::default()
                },
                own: *own,
            })
            .collect()
    }

    #[test]
    fn the_longest_unused_go_first_and_no_more_than_needed() {
        let all = || some(&[("new", 10, 90), ("old", 20, 10), ("older", 5, 5)]);
        let ids = |policy: &ImagePolicy, taken, free| -> Vec<String> {
            let goes = chosen(policy, all(), 100, (taken, free));
            goes.into_iter().map(|c| c.image.id).collect()
        };
        let policy = ImagePolicy::default();
        assert!(ids(&policy, 1000, 0).is_empty(), "nothing is said");
        let age = ImagePolicy {
            unused_for: Some(50),
            ..policy.clone()
        };
        assert_eq!(ids(&age, 0, 0), ["older", "old"]);
        let room = ImagePolicy {
            keep_storage: Some(30),
            ..policy.clone()
        };
        assert_eq!(ids(&room, 34, 0), ["older"]);
        assert!(ids(&room, 30, 0).is_empty());
        let free = ImagePolicy {
            min_free: Some(15),
            unused_for: Some(91),
            ..policy
        };
        assert_eq!(ids(&free, 0, 0), ["older"], "the age counts, too");
    }
}
