//! What containers use, sampled once a second for all who watch.
//!
//! One task samples every container that somebody watches, in one go on a thread that may block,
//! and hands the result to its readers: a second reader of a container costs nothing. It ends when
//! nobody watches any more.

mod sample;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::sync::broadcast;
use types::{options::StatsMode, stats::ContainerStats};

use crate::{Engine, blocking, container::Container, error::Result, sync::lock};
use sample::Source;

const INTERVAL: Duration = Duration::from_secs(1);
/// Of the first samples of a reader: closer together, they would tell chance.
const APART: Duration = Duration::from_millis(500);
/// A reader who is further behind misses samples.
const BEHIND: usize = 4;

/// Who watches what.
#[derive(Default)]
pub(crate) struct Sampler {
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    by_id: HashMap<String, Entry>,
    /// The task runs.
    ticking: bool,
}

struct Entry {
    source: Arc<Source>,
    readers: broadcast::Sender<Arc<ContainerStats>>,
}

impl Engine {
    /// What a container uses, as `mode` asks for it.
    pub async fn stats(
        self: &Arc<Self>,
        name: &str,
        mode: StatsMode,
    ) -> Result<BoxStream<'static, ContainerStats>> {
        let container = self.find(name)?;
        let one = |stats| stream::iter([stats]).boxed();
        if mode != StatsMode::Stream && !container.state().is_running() {
            return Ok(one(sample::nothing(&container)));
        }
        if mode == StatsMode::Stream {
            return self.watch_stats(&container).await;
        }
        let source = Arc::new(self.source(&container));
        let first = taken(&source).await?;
        if mode == StatsMode::OneShot {
            return Ok(one((*first).clone()));
        }
        tokio::time::sleep(INTERVAL).await;
        let second = taken(&source).await?;
        Ok(one(after(&second, &first)))
    }

    fn source(&self, container: &Arc<Container>) -> Source {
        let cgroup = container.with_record(|r| self.cgroup(r));
        Source::new(container, cgroup)
    }

    /// A sample now, then one a second.
    async fn watch_stats(
        self: &Arc<Self>,
        container: &Arc<Container>,
    ) -> Result<BoxStream<'static, ContainerStats>> {
        let (source, receiver) = {
            let mut watched = lock(&self.sampler.watched);
            let entry = watched
                .by_id
                .entry(container.id.clone())
                .or_insert_with(|| Entry {
                    source: Arc::new(self.source(container)),
                    readers: broadcast::channel(BEHIND).0,
                });
            let both = (Arc::clone(&entry.source), entry.readers.subscribe());
            if !watched.ticking {
                watched.ticking = true;
                tokio::spawn(Arc::clone(self).tick());
            }
            both
        };
        let first = taken(&source).await?;
        let begun = tokio::time::Instant::now();
        let rest = stream::unfold(
            (receiver, Arc::clone(&first)),
            move |(mut receiver, before)| async move {
                loop {
                    match receiver.recv().await {
                        Ok(_) if begun.elapsed() < APART => {}
                        Ok(now) => return Some((after(&now, &before), (receiver, now))),
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        // It was removed.
                        Err(broadcast::error::RecvError::Closed) => return None,
                    }
                }
            },
        );
        Ok(stream::iter([(*first).clone()]).chain(rest).boxed())
    }

    /// Samples for those who watch, until nobody does.
    async fn tick(self: Arc<Self>) {
        let mut clock = tokio::time::interval(INTERVAL);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is now, when every reader has had a sample of its own.
        clock.tick().await;
        loop {
            clock.tick().await;
            let sources: Vec<Arc<Source>> = {
                let mut watched = lock(&self.sampler.watched);
                watched.by_id.retain(|_, entry| {
                    entry.readers.receiver_count() > 0 && !entry.source.container.state().removed
                });
                if watched.by_id.is_empty() {
                    watched.ticking = false;
                    return;
                }
                let entries = watched.by_id.values();
                entries.map(|e| Arc::clone(&e.source)).collect()
            };
            let samples = tokio::task::spawn_blocking(move || {
                let host = sample::HostTimes::now();
                let taken = sources.iter().map(|s| Arc::new(s.sample(host)));
                taken.collect::<Vec<_>>()
            });
            // A panic in there was reported; the next tick tries again.
            let Ok(samples) = samples.await else { continue };
            let watched = lock(&self.sampler.watched);
            for sample in samples {
                if let Some(entry) = watched.by_id.get(&sample.id) {
                    // Readers that went away meanwhile are noticed at the next tick.
                    let _ = entry.readers.send(sample);
                }
            }
        }
    }
}

async fn taken(source: &Arc<Source>) -> Result<Arc<ContainerStats>> {
    let source = Arc::clone(source);
    blocking(move || Ok(Arc::new(source.sample(sample::HostTimes::now())))).await
}

/// `now` with the processor times of `before`.
fn after(now: &ContainerStats, before: &ContainerStats) -> ContainerStats {
    ContainerStats {
        preread: before.read.clone(),
        precpu_stats: before.cpu_stats.clone(),
        ..now.clone()
    }
}
