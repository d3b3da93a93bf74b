//! The cache's bound, with a builder of its own and no daemon: as root, for overlay mounts.

use std::{
    io::Write,
    os::fd::BorrowedFd,
    sync::{Arc, Mutex},
};

use builder::{
    Amount, Bound, Builder, Command, Ended, Error, Fetched, Listener, MountSource, OnOutput,
    OnProgress, Result, Rule, Worker,
};
use image::{
    CacheRecord, CancellationToken, Digest, Held, Image, Options, Platform, Reference, RemoteCache,
    Store,
};
use types::{
    Failure,
    build::{
        BuildEvent, BuildRequest, ContextEntry, ContextSource, ContextUpdate, Dockerfile,
        EntryKind, PruneRequest, content_header,
    },
};

/// Who knows no registry, and whose commands leave a mebibyte in each mount of the host's.
struct Nobody;

fn none<T>() -> Result<T> {
    Err(Error::Failure(Failure::invalid("there is nobody")))
}

impl Worker for Nobody {
    fn run(&self, command: Command<'_>, _: OnOutput<'_>, _: &CancellationToken) -> Result<Ended> {
        for mount in command.mounts {
            if let MountSource::Path(path) = mount.source {
                std::fs::write(path.join("left"), vec![0; SIZE]).expect("a file");
            }
        }
        Ok(Ended::default())
    }

    fn base(
        &self,
        _: &Reference,
        _: &Platform,
        _: bool,
        _: &BuildRequest,
        _: OnProgress<'_>,
        _: &CancellationToken,
    ) -> Result<Arc<Image>> {
        none()
    }

    fn push(
        &self,
        _: &Reference,
        _: &str,
        _: &BuildRequest,
        _: OnProgress<'_>,
        _: &CancellationToken,
    ) -> Result<Option<image::Pushed>> {
        none()
    }

    fn cache(
        &self,
        _: &Reference,
        _: &Platform,
        _: bool,
        _: &BuildRequest,
        _: &CancellationToken,
    ) -> Result<RemoteCache> {
        none()
    }

    fn cached(
        &self,
        _: &RemoteCache,
        _: &Digest,
        _: OnProgress<'_>,
        _: &CancellationToken,
    ) -> Result<Option<(CacheRecord, Held)>> {
        none()
    }

    fn export(
        &self,
        _: &Reference,
        _: &[CacheRecord],
        _: bool,
        _: &BuildRequest,
        _: OnProgress<'_>,
        _: &CancellationToken,
    ) -> Result<String> {
        none()
    }

    fn fetch(
        &self,
        _: &str,
        _: Option<&str>,
        _: &mut (dyn Write + Send),
        _: &CancellationToken,
    ) -> Result<Fetched> {
        none()
    }

    fn user(&self, _: BorrowedFd<'_>, _: &str) -> Result<(u32, u32)> {
        none()
    }

    fn tell(&self, _: &str, _: &str, _: Option<&str>) {}
}

/// Counts cached steps, and does something when the first step begins.
#[derive(Default)]
struct Watch {
    cached: Mutex<usize>,
    first: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Listener for Watch {
    fn event(&self, event: BuildEvent) {
        if let BuildEvent::Vertex(vertex) = event {
            *self.cached.lock().expect("it works") += usize::from(vertex.cached);
            let first = self.first.lock().expect("it works").take();
            if let Some(first) = first {
                first();
            }
        }
    }
}

struct World {
    builder: Arc<Builder>,
    _dir: tempfile::TempDir,
}

const SIZE: usize = 1 << 20;

impl World {
    fn new(most: i64) -> Self {
        let dir = tempfile::tempdir().expect("it works");
        let store = Store::open(dir.path(), Options::default()).expect("it works");
        let rule = Rule {
            max_used: Some(Amount::Bytes(most)),
            ..Rule::default()
        };
        let bound = Bound(vec![rule]);
        let builder = Builder::open(dir.path(), store, Arc::new(Nobody), bound).expect("it works");
        Self {
            builder: Arc::new(builder),
            _dir: dir,
        }
    }

    /// Tells of a context of one file of a mebibyte; its name.
    fn give(&self, fill: u8) -> String {
        let bytes = vec![fill; SIZE];
        let digest = Digest::of(&bytes).hex().to_owned();
        let entry = ContextEntry {
            kind: EntryKind::File,
            mode: 0o644,
            mtime: 0,
            size: SIZE as u64,
            digest: digest.clone(),
            link: String::new(),
        };
        let update = ContextUpdate {
            entries: [("f".to_owned(), entry)].into(),
            ..ContextUpdate::default()
        };
        let answer = self.builder.context(update).expect("it works");
        if !answer.missing.is_empty() {
            let mut body = content_header(&digest, SIZE as u64).into_bytes();
            body.extend(bytes);
            let cancel = CancellationToken::new();
            self.builder
                .contents(body.as_slice(), &cancel)
                .expect("it works");
        }
        answer.id
    }

    /// Builds of a context; how many steps came from the cache.
    fn build(&self, context: String, first: Option<Box<dyn FnOnce() + Send>>) -> usize {
        let source = ContextSource::Sent(context);
        self.build_text(source, "FROM scratch\nCOPY f /a\nCOPY f /b\n", first)
    }

    fn build_text(
        &self,
        context: ContextSource,
        text: &str,
        first: Option<Box<dyn FnOnce() + Send>>,
    ) -> usize {
        let request = BuildRequest {
            context,
            dockerfile: Dockerfile::Text {
                name: "Dockerfile".to_owned(),
                text: text.to_owned(),
            },
            ..BuildRequest::default()
        };
        let watch = Arc::new(Watch::default());
        *watch.first.lock().expect("it works") = first;
        let cancel = CancellationToken::new();
        let told = Arc::clone(&watch);
        self.builder
            .build(&request, None, told, false, &cancel)
            .expect("it works");
        let cached = watch.cached.lock();
        *cached.expect("it works")
    }

    fn sum(&self, kind: &str) -> i64 {
        let records = self.builder.records().into_iter();
        records.filter(|r| r.kind == kind).map(|r| r.size).sum()
    }
}

#[test]
fn what_was_used_last_stays() {
    let mib = 1_i64 << 20;
    let world = World::new(12 * mib);
    for fill in 0..8 {
        let context = world.give(fill);
        assert_eq!(world.build(context, None), 0);
    }
    assert_eq!(world.sum("regular"), 16 * mib);
    assert_eq!(world.sum("source.local"), 8 * mib);
    world.builder.collect();
    // Files of contexts were used just now: layers had to go.
    assert_eq!(world.sum("source.local"), 8 * mib);
    assert_eq!(world.sum("regular"), 4 * mib);
    assert_eq!(world.build(world.give(7), None), 2, "the newest is there");
    assert_eq!(world.build(world.give(0), None), 0, "the oldest is not");
    world.builder.collect();
    assert!(world.sum("regular") + world.sum("source.local") <= 12 * mib);
    // Asked for, a bound holds at once, for these, too.
    let keep = |keep| PruneRequest {
        keep,
        ..PruneRequest::default()
    };
    let gone = world.builder.prune(&keep(6 * mib)).unwrap();
    assert!(gone.space_reclaimed >= 6 * mib, "{gone:?}");
    let left = world.sum("regular") + world.sum("source.local");
    assert!(left <= 6 * mib && left > 3 * mib, "{left}");
    let gone = world.builder.prune(&keep(6 * mib)).unwrap();
    assert_eq!(gone.space_reclaimed, 0);
    let all = PruneRequest {
        all: true,
        ..PruneRequest::default()
    };
    world.builder.prune(&all).unwrap();
    assert!(world.builder.records().is_empty());
}

#[test]
fn a_build_that_goes_on_keeps_what_it_relies_on() {
    let world = World::new(1);
    let context = world.give(1);
    world.build(context.clone(), None);
    let builder = Arc::clone(&world.builder);
    let prune = move || {
        let all = PruneRequest {
            all: true,
            ..PruneRequest::default()
        };
        builder.prune(&all).unwrap();
        builder.collect();
    };
    // Its steps are gone, its files are not.
    assert_eq!(world.build(context.clone(), Some(Box::new(prune))), 0);
    // And a bound that is kept by itself leaves alone what was just told of.
    let again = world.give(1);
    world.builder.collect();
    assert_eq!(again, context);
    world.build(again, None);
}

#[test]
fn cache_mounts_count_and_go() {
    let mib = 1_i64 << 20;
    let world = World::new(mib);
    let run = |id: &str| {
        let text = format!("FROM scratch\nRUN --mount=type=cache,target=/{id} [\"/{id}\"]\n");
        world.build_text(ContextSource::Empty, &text, None)
    };
    assert_eq!(run("a"), 0);
    world.builder.collect();
    assert_eq!(world.sum("exec.cachemount"), mib, "it fits");
    assert_eq!(run("b"), 0);
    assert_eq!(world.sum("exec.cachemount"), 2 * mib);
    world.builder.collect();
    let left = world.builder.records();
    let mounts: Vec<_> = left
        .iter()
        .filter(|r| r.kind == "exec.cachemount")
        .map(|r| r.description.as_str())
        .collect();
    assert_eq!(mounts, ["cached mount /b"]);
    let kind = PruneRequest {
        kinds: vec!["exec.cachemount".to_owned()],
        ..PruneRequest::default()
    };
    let gone = world.builder.prune(&kind).unwrap();
    assert_eq!(gone.space_reclaimed, mib);
    assert_eq!(world.sum("exec.cachemount"), 0);
}
