//! Building stages: each once, by whoever needs it first, the others wait for it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use image::{CacheRecord, Digest, Held, Image, Platform, Reference, StoredLayer};
use types::build::{BuildRequest, ContextSource, Layout};

use crate::{
    Builder,
    contexts::Context,
    draft::Draft,
    error::{Error, Result},
    imports::Imports,
    layout,
    plan::{Origin, Plan},
    session::{Running, Session, now},
    stage::StageRun,
    tree::{Mounted, Tree},
};

/// Stages of one build that are built at the same time.
const AT_ONCE: usize = 16;

/// How far something is that several may want.
enum Progress<T> {
    Idle,
    Running,
    Done(Result<T>),
}

/// Something that is made once.
pub(crate) struct Once<T>(Mutex<Progress<T>>, Condvar);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::new(Progress::Idle), Condvar::new())
    }
}

impl<T: Clone> Once<T> {
    /// Makes it, or waits for who is at it.
    pub(crate) fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*state {
                Progress::Done(done) => return done.clone(),
                Progress::Running => {
                    state = self.1.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Progress::Idle => break,
            }
        }
        *state = Progress::Running;
        drop(state);
        // Also when `make` panics: those who wait would wait for ever.
        let mut guard = Unless(self, true);
        let made = make();
        guard.1 = false;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Progress::Done(made.clone());
        self.1.notify_all();
        made
    }
}

struct Unless<'a, T>(&'a Once<T>, bool);

impl<T> Drop for Unless<'_, T> {
    fn drop(&mut self) {
        if self.1 {
            let failed = Error::invalid("the build failed in an unforeseen way");
            let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            *state = Progress::Done(Err(failed));
            drop(state);
            self.0.1.notify_all();
        }
    }
}

/// Images by their names and platforms.
type Images = HashMap<(String, String), Arc<Once<Arc<Image>>>>;

/// One build on its way.
pub(crate) struct Solver<'a> {
    pub builder: &'a Builder,
    pub session: &'a Session,
    pub request: &'a BuildRequest,
    pub plan: &'a Plan<'a>,
    pub context: Arc<Context>,
    /// Those of `--build-context` that a client sent.
    pub named: BTreeMap<String, Arc<Context>>,
    pub epoch: Option<i64>,
    /// Caches of others.
    pub imports: Imports,
    stages: Vec<Once<Arc<Draft>>>,
    images: Mutex<Images>,
    /// Images of layouts that were not here before.
    loaded: Mutex<Vec<Arc<Image>>>,
    first: Mutex<Option<Error>>,
}

impl<'a> Solver<'a> {
    pub(crate) fn new(
        builder: &'a Builder,
        session: &'a Session,
        request: &'a BuildRequest,
        plan: &'a Plan<'a>,
        context: Arc<Context>,
        named: BTreeMap<String, Arc<Context>>,
        epoch: Option<i64>,
    ) -> Self {
        Self {
            builder,
            session,
            request,
            plan,
            context,
            named,
            epoch,
            imports: Imports::default(),
            stages: plan.stages.iter().map(|_| Once::default()).collect(),
            images: Mutex::default(),
            loaded: Mutex::default(),
            first: Mutex::default(),
        }
    }

    /// Builds the target and what it needs; stages that do not depend on one another at the same
    /// time, unless `sequential`.
    pub(crate) fn solve(&self, sequential: bool) -> Result<Arc<Draft>> {
        if sequential {
            for stage in &self.plan.needed {
                self.stage(*stage)?;
            }
            return self.stage(self.plan.target);
        }
        // In the file's order, in which a stage needs only those before it: whoever waits for one
        // waits for somebody who is at it.
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(stage) = self.plan.needed.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.stage(*stage).is_err() {
                    // Nobody needs the others any more.
                    self.session.cancel.cancel();
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.plan.needed.len().min(AT_ONCE) {
                // Without further threads it goes on with those that there are.
                let _ = std::thread::Builder::new()
                    .name("build-stage".to_owned())
                    .spawn_scoped(scope, work);
            }
            work();
        });
        self.stage(self.plan.target)
    }

    /// What went wrong first and is not a consequence of another.
    pub(crate) fn cause(&self) -> Option<Error> {
        self.first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A stage's result.
    pub(crate) fn stage(&self, index: usize) -> Result<Arc<Draft>> {
        let missing = || Error::invalid(format!("there is no stage {index}"));
        let stage = self.stages.get(index).ok_or_else(missing)?;
        stage.get(|| {
            self.session.check()?;
            let done = StageRun::new(self, index).and_then(StageRun::run);
            if let Err(error) = &done
                && !matches!(error, Error::Cancelled)
            {
                let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.clone());
            }
            done.map(Arc::new)
        })
    }

    /// An image by its name, asked for once in a build.
    pub(crate) fn image(&self, name: &str, platform: &Platform) -> Result<Arc<Image>> {
        let once = {
            let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (name.to_owned(), platform.to_string());
            Arc::clone(images.entry(key).or_default())
        };
        once.get(|| {
            self.resolve(name, platform).map_err(|e| match e {
                Error::Failure(mut failure) => {
                    failure.message =
                        format!("{name}: failed to resolve the image: {}", failure.message);
                    Error::Failure(failure)
                }
                other => other,
            })
        })
    }

    fn resolve(&self, name: &str, platform: &Platform) -> Result<Arc<Image>> {
        // A whole identifier; the beginning of one could as well be a name.
        if !self.request.pull
            && types::reference::is_full_id(name.strip_prefix("sha256:").unwrap_or(name))
            && let Ok(image) = self.builder.store.get(name)
            && platform.accepts(&image.platform())
        {
            return Ok(image);
        }
        let reference = Reference::parse(name)
            .map_err(|e| Error::invalid(format!("failed to parse reference {name:?}: {e}")))?
            .with_default_tag();
        let title = format!("[internal] load metadata for {}", full(&reference));
        self.session.step(title, |running| {
            self.builder.worker.base(
                &reference,
                platform,
                self.request.pull,
                self.request,
                &|progress| running.layer(&progress),
                &self.session.cancel,
            )
        })
    }

    /// The image that a context of the request is, and what it is called; none where it is files.
    pub(crate) fn named_image(
        &self,
        name: &str,
        platform: &Platform,
    ) -> Result<Option<(Arc<Image>, String)>> {
        match self.request.contexts.get(name) {
            Some(ContextSource::Image(image)) => {
                Ok(Some((self.image(image, platform)?, image.clone())))
            }
            Some(ContextSource::Layout(layout)) => {
                let title = format!("oci-layout://{name}@{}", layout.digest);
                let once = {
                    let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
                    let key = (title.clone(), platform.to_string());
                    Arc::clone(images.entry(key).or_default())
                };
                let image = once.get(|| self.load_layout(name, layout, platform))?;
                Ok(Some((image, title)))
            }
            _ => Ok(None),
        }
    }

    fn load_layout(&self, name: &str, layout: &Layout, platform: &Platform) -> Result<Arc<Image>> {
        let title = format!("[context {name}] load {}", layout.digest);
        let (image, is_new) = self.session.step(title, |running| {
            layout::load(self.builder, layout, platform, self.session, running)
        })?;
        if is_new {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.push(Arc::clone(&image));
        }
        Ok(image)
    }

    /// Images that were only taken in for this build.
    pub(crate) fn take_layouts(&self) -> Vec<Arc<Image>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *loaded)
    }

    /// The layers of an origin, to copy or mount from.
    pub(crate) fn layers(
        &self,
        origin: &Origin,
        platform: &Platform,
    ) -> Result<(Vec<StoredLayer>, Vec<Arc<Held>>)> {
        match origin {
            Origin::Stage(index) => {
                let draft = self.stage(*index)?;
                Ok((draft.layers.clone(), draft.held.clone()))
            }
            Origin::Image(name) => {
                let image = self.image(name, platform)?;
                let (layers, held) = self.builder.store.layers_of(&image)?;
                Ok((layers, vec![Arc::new(held)]))
            }
            Origin::Named(name) => match self.named_image(name, platform)? {
                Some((image, _)) => {
                    let (layers, held) = self.builder.store.layers_of(&image)?;
                    Ok((layers, vec![Arc::new(held)]))
                }
                None => Ok((Vec::new(), Vec::new())),
            },
            Origin::Scratch | Origin::Context => Ok((Vec::new(), Vec::new())),
        }
    }

    /// The files of an origin.
    pub(crate) fn tree(&self, origin: &Origin, platform: &Platform) -> Result<Tree> {
        let contexts = || Arc::clone(&self.builder.contexts);
        match origin {
            Origin::Context => return Ok(Tree::Context(Arc::clone(&self.context), contexts())),
            Origin::Named(name) => {
                if let Some(context) = self.named.get(name) {
                    return Ok(Tree::Context(Arc::clone(context), contexts()));
                }
            }
            Origin::Stage(_) | Origin::Image(_) | Origin::Scratch => {}
        }
        let (layers, _held) = self.layers(origin, platform)?;
        let step = self.builder.store.step(&types::id::generate(), &layers)?;
        let root = step.mount()?;
        Ok(Tree::Mount(Mounted {
            root,
            cancel: self.session.cancel.clone(),
            _step: step,
        }))
    }

    /// What a step came to the last time, here or where another cache knows it.
    pub(crate) fn cached(
        &self,
        key: &Digest,
        no_cache: bool,
        running: &Running<'_>,
    ) -> Result<Option<(CacheRecord, Held)>> {
        if no_cache {
            return Ok(None);
        }
        if let Some(found) = self.builder.store.cached(key) {
            return Ok(Some(found));
        }
        self.imports.find(self.builder, key, running, self.session)
    }

    /// Remembers what a step came to.
    pub(crate) fn remember(
        &self,
        key: &Digest,
        description: &str,
        parents: Vec<Digest>,
        layer: Option<StoredLayer>,
    ) -> Result<CacheRecord> {
        let created = now();
        let record = CacheRecord {
            key: key.clone(),
            kind: "regular".to_owned(),
            description: description.to_owned(),
            parents,
            layer,
            note: String::new(),
            created: created.clone(),
            last_used: created,
            uses: 1,
        };
        self.builder.store.remember(record.clone())?;
        Ok(record)
    }
}

/// A name with its registry and tag.
pub(crate) fn full(reference: &Reference) -> String {
    match (reference.tag(), reference.digest()) {
        (Some(tag), Some(digest)) => format!("{}:{tag}@{digest}", reference.name()),
        (Some(tag), None) => format!("{}:{tag}", reference.name()),
        (None, Some(digest)) => format!("{}@{digest}", reference.name()),
        (None, None) => reference.name(),
    }
}
