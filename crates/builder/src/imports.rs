//! `--cache-from`: what others' caches have, taken step by step as a build asks for it.
//!
//! A cache that is not there, cannot be read or tells an untruth is no reason to end a build: it is
//! told, and passed over from then on. Whoever names a cache trusts those who may write to it with
//! what their steps come to, as with BuildKit; digests only say that a layer is what the cache says.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use image::{CacheIndex, CacheRecord, Digest, Held, Image, Platform, Reference, RemoteCache};
use types::{
    ErrorKind, Failure,
    build::{BuildRequest, CacheSource, EntryKind},
    options::StdStream,
};

use crate::{
    Builder,
    contexts::Context,
    error::{Error, Result},
    session::{Running, Session},
    solve::full,
};

/// Caches that one build may name.
const MAX_SOURCES: usize = 16;
/// Bytes of the table of a directory.
const MAX_INDEX: u64 = 1 << 20;

/// Where steps are.
enum Place {
    Registry(RemoteCache),
    Local {
        context: Arc<Context>,
        index: CacheIndex,
    },
    Image(Arc<Image>),
}

/// One cache.
struct Source {
    place: Place,
    /// It failed, and is not asked any more.
    broken: AtomicBool,
}

/// All caches that a build may take from.
#[derive(Default)]
pub(crate) struct Imports(Vec<Source>);

/// Refuses what is not understood, before anything is done.
pub(crate) fn check(request: &BuildRequest) -> Result<Vec<CacheSource>> {
    if request.cache_from.len() > MAX_SOURCES {
        let text = format!("a build takes from at most {MAX_SOURCES} caches");
        return Err(Error::invalid(text));
    }
    let refused = |why| Error::from(Failure::new(ErrorKind::NotImplemented, why));
    let all = request.cache_from.iter();
    let all: Vec<_> = all
        .map(|target| target.source().map_err(refused))
        .collect::<Result<_>>()?;
    for source in &all {
        if let CacheSource::Registry { name, .. } = source {
            let parsed = Reference::parse(name).map(drop);
            parsed.map_err(|e| Error::invalid(format!("invalid --cache-from \"{name}\": {e}")))?;
        }
    }
    Ok(all)
}

impl Imports {
    /// Reads which steps the caches have, side by side.
    pub(crate) fn open(
        builder: &Builder,
        session: &Session,
        request: &BuildRequest,
        sources: Vec<CacheSource>,
        platform: &Platform,
    ) -> Result<Self> {
        let open = |source| open(builder, session, request, source, platform);
        let places: Vec<_> = std::thread::scope(|scope| {
            let started = sources.into_iter().map(|source| {
                std::thread::Builder::new()
                    .name("build-cache".to_owned())
                    .spawn_scoped(scope, || open(source))
            });
            let started: Vec<_> = started.collect();
            let joined = started.into_iter().flatten();
            joined.filter_map(|thread| thread.join().ok()).collect()
        });
        session.check()?;
        let places = places.into_iter().flatten();
        Ok(Self(
            places
                .map(|place| Source {
                    place,
                    broken: AtomicBool::new(false),
                })
                .collect(),
        ))
    }

    /// What a step came to elsewhere, if that can be had here.
    pub(crate) fn find(
        &self,
        builder: &Builder,
        key: &Digest,
        running: &Running<'_>,
        session: &Session,
    ) -> Result<Option<(CacheRecord, Held)>> {
        for source in &self.0 {
            if source.broken.load(Ordering::Relaxed) {
                continue;
            }
            match source.place.take(builder, key, running, session) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => {
                    session.check()?;
                    source.broken.store(true, Ordering::Relaxed);
                    tracing::warn!(%error, "a build cache is passed over");
                    let text = format!("WARNING: cache is passed over: {error}\n");
                    running.log(StdStream::Err, text.as_bytes());
                }
            }
        }
        Ok(None)
    }
}

/// Opens a cache; nothing where it cannot be used, which is told.
fn open(
    builder: &Builder,
    session: &Session,
    request: &BuildRequest,
    source: CacheSource,
    platform: &Platform,
) -> Option<Place> {
    let told = |name: &str, index: &CacheIndex, running: &Running<'_>| {
        if index.is_empty() {
            let text = format!("{name} carries no cache of wharf's\n");
            running.log(StdStream::Err, text.as_bytes());
        }
    };
    let opened = match source {
        CacheSource::Registry { name, insecure } => {
            let name = Reference::parse(&name).ok()?.with_default_tag();
            let title = format!("importing cache manifest from {}", full(&name));
            session.step(title, |running| {
                let cancel = &session.cancel;
                let worker = &builder.worker;
                let cache = worker.cache(&name, platform, insecure, request, cancel)?;
                told(&full(&name), &cache.index, running);
                Ok(Place::Registry(cache))
            })
        }
        CacheSource::Local { dir, context } => {
            let title = format!("importing cache manifest from local:{dir}");
            session.step(title, |running| {
                let context = builder.contexts.get(&context)?;
                let index = layout(builder, &dir, &context)?;
                told(&dir, &index, running);
                Ok(Place::Local { context, index })
            })
        }
        // As docker's classic builder: an image that is not here is no source, which is not told.
        CacheSource::Image(name) => return builder.store.get(&name).ok().map(Place::Image),
    };
    opened
        .inspect_err(|error| tracing::warn!(%error, "a build cache cannot be used"))
        .ok()
}

/// Where a blob of a directory is.
fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Reads a small file of a directory that was sent.
fn small(builder: &Builder, context: &Context, path: &str, limit: u64) -> image::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    file(builder, context, path)?
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| image::Error::Invalid(format!("read {path} of the cache: {e}")))?;
    Ok(bytes)
}

fn file(builder: &Builder, context: &Context, path: &str) -> image::Result<std::fs::File> {
    let missing = || image::Error::Invalid(format!("the cache's directory has no {path}"));
    let entry = context.entries.get(path);
    let entry = entry.filter(|e| e.kind == EntryKind::File);
    let digest = entry.and_then(|e| Digest::from_hex(&e.digest));
    let found = builder.contexts.pool.file(&digest.ok_or_else(missing)?);
    found.map_err(|e| image::Error::Invalid(e.to_string()))
}

fn layout(builder: &Builder, dir: &str, context: &Context) -> Result<CacheIndex> {
    let what = format!("cache {dir}");
    let index = small(builder, context, "index.json", MAX_INDEX)?;
    let read = |digest: &Digest, size| small(builder, context, &blob(digest), size);
    Ok(CacheIndex::of_layout(&what, &index, read)?)
}

impl Place {
    fn take(
        &self,
        builder: &Builder,
        key: &Digest,
        running: &Running<'_>,
        session: &Session,
    ) -> Result<Option<(CacheRecord, Held)>> {
        let cancel = &session.cancel;
        match self {
            Self::Registry(cache) if !cache.index.has(key) => Ok(None),
            Self::Registry(cache) => {
                let progress = |p: image::Progress| running.layer(&p);
                builder.worker.cached(cache, key, &progress, cancel)
            }
            Self::Local { context, index } => {
                let open = |digest: &Digest| file(builder, context, &blob(digest));
                Ok(builder.store.take_cached(index, key, open, cancel)?)
            }
            Self::Image(image) => Ok(builder.store.cached_in_image(image, key)?),
        }
    }
}
