//! Contexts: which files there are, as clients told.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, BufRead, Read},
    sync::{Arc, Mutex, PoisonError},
};

use archive::ContextSink;
use image::{CancellationToken, Digest, Hasher};
use types::{
    ErrorKind, Failure,
    build::{ContextAnswer, ContextEntry, ContextUpdate, EntryKind},
};

use crate::{
    error::{Error, Result},
    pool::{self, Pool},
};

/// Contexts that are remembered, so that the next one can be told as a difference.
const REMEMBERED: usize = 32;
/// Entries of all of them.
const MAX_REMEMBERED: usize = 2_000_000;
/// Seconds in which a further use is not noted: removing leaves alone what was used so short a time
/// before what goes on began.
const SETTLED: i64 = crate::gc::GRACE / 2;
/// Entries that a context may have.
const MAX_ENTRIES: usize = 5_000_000;

/// The files of a context by their paths.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub entries: BTreeMap<String, ContextEntry>,
}

impl Context {
    /// The digest of all that there is to tell of it.
    fn id(&self) -> Digest {
        let mut hasher = Hasher::default();
        for (path, e) in &self.entries {
            let ContextEntry {
                kind,
                mode,
                mtime,
                size,
                digest,
                link,
            } = e;
            let line = format!("{path}\0{kind:?} {mode:o} {mtime} {size} {digest} {link}\0");
            hasher.update(line.as_bytes());
        }
        hasher.finish()
    }

    /// Refuses paths that no file could have, and files below what is no directory.
    fn check(&self) -> Result<()> {
        if self.entries.len() > MAX_ENTRIES {
            return Err(Error::invalid(format!(
                "the build context has more than {MAX_ENTRIES} files, which is the limit"
            )));
        }
        for (path, entry) in &self.entries {
            check_path(path)?;
            if entry.kind == EntryKind::File && Digest::from_hex(&entry.digest).is_none() {
                return Err(Error::invalid(format!(
                    "{path:?} of the build context has no digest"
                )));
            }
            if let Some((parent, _)) = path.rsplit_once('/')
                && self
                    .entries
                    .get(parent)
                    .is_none_or(|p| p.kind != EntryKind::Dir)
            {
                return Err(Error::invalid(format!(
                    "{path:?} of the build context is not in a directory"
                )));
            }
        }
        Ok(())
    }
}

fn check_path(path: &str) -> Result<()> {
    let fits = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if path.split('/').all(fits) && path.len() < 4096 {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{path:?} is no path of a file in a build context"
    )))
}

/// A context that is remembered.
#[derive(Debug, Clone)]
struct Known {
    id: String,
    context: Arc<Context>,
    /// When it was last noted that its contents are used.
    touched: i64,
    /// A piece of one that is still being told: the next piece takes its place.
    piece: bool,
}

/// The contexts that are known, and their contents.
#[derive(Debug)]
pub(crate) struct Contexts {
    pub pool: Pool,
    known: Mutex<VecDeque<Known>>,
}

impl Contexts {
    pub(crate) fn new(pool: Pool) -> Self {
        Self {
            pool,
            known: Mutex::default(),
        }
    }

    /// The context of that name; also the one that was used last, from now on.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Context>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.iter().position(|known| known.id == id);
        let mut entry = at.and_then(|at| known.remove(at)).ok_or_else(|| {
            Failure::new(
                ErrorKind::NotFound,
                format!("no such build context: {id}: it is to be sent whole"),
            )
        })?;
        let now = pool::seconds();
        if now - entry.touched >= SETTLED {
            self.touch(&entry.context);
            entry.touched = now;
        }
        let context = Arc::clone(&entry.context);
        known.push_back(entry);
        Ok(context)
    }

    /// Notes that a context's contents are used now; answers those that are not here.
    fn touch<'c>(&self, context: &'c Context) -> std::collections::BTreeSet<&'c str> {
        let files = context.entries.values();
        let files = files.filter(|e| e.kind == EntryKind::File);
        self.pool.touch(files.map(|e| e.digest.as_str()))
    }

    /// Remembers a context, or a `piece` of one, which has grown from the one called `base`.
    fn remember(&self, id: String, context: Arc<Context>, base: Option<&str>, piece: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // What is known as a whole is not less known by being told again.
        let piece = piece && known.iter().all(|known| known.id != id || known.piece);
        let over = |known: &Known| known.piece && Some(known.id.as_str()) == base;
        known.retain(|known| known.id != id && !over(known));
        known.push_back(Known {
            id,
            context,
            touched: pool::seconds(),
            piece,
        });
        let entries = |known: &VecDeque<Known>| {
            let sizes = known.iter().map(|k| k.context.entries.len());
            sizes.sum::<usize>()
        };
        while known.len() > 1 && (known.len() > REMEMBERED || entries(&known) > MAX_REMEMBERED) {
            known.pop_front();
        }
    }

    /// Keeps a context that was made here, with the name by which it is found again.
    pub(crate) fn adopt(&self, context: Context) -> (String, Arc<Context>) {
        let (id, context) = (context.id().to_string(), Arc::new(context));
        self.remember(id.clone(), Arc::clone(&context), None, false);
        (id, context)
    }

    /// The context of that name, if all that it has is still here.
    pub(crate) fn whole(&self, id: &str) -> Option<Arc<Context>> {
        let context = self.get(id).ok()?;
        let whole = self.touch(&context).is_empty();
        whole.then_some(context)
    }

    /// Takes in what a client tells.
    pub(crate) fn update(&self, update: ContextUpdate) -> Result<ContextAnswer> {
        let ContextUpdate {
            base,
            entries,
            removed,
            more,
        } = update;
        let base = base
            .map(|id| Ok::<_, Error>((self.get(&id)?, id)))
            .transpose()?;
        let changed: Vec<_> = entries.keys().cloned().collect();
        let (id, context) = match base {
            Some((base, id)) if entries.is_empty() && removed.is_empty() => (id, base),
            base => {
                let (base, from) = base.unzip();
                let mut context = Context {
                    entries: base.map(|b| b.entries.clone()).unwrap_or_default(),
                };
                for path in &removed {
                    context.entries.remove(path);
                }
                context.entries.extend(entries);
                context.check()?;
                let id = context.id().to_string();
                let context = Arc::new(context);
                self.remember(id.clone(), Arc::clone(&context), from.as_deref(), more);
                (id, context)
            }
        };
        // What did not change was here when the base was told, and may be gone since.
        let missing = self.touch(&context);
        tracing::debug!(%id, changed = changed.len(), missing = missing.len(), "build context");
        let missing: Vec<_> = missing.into_iter().map(str::to_owned).collect();
        Ok(ContextAnswer { id, missing })
    }

    /// A context made of an archive. Links are kept as they are, and lead nowhere but inside;
    /// whatever else a directory can have is left out.
    pub(crate) fn unpack(
        &self,
        source: impl BufRead,
        cancel: &CancellationToken,
    ) -> Result<Arc<Context>> {
        let mut sink = Sink {
            pool: &self.pool,
            buffer: pool::buffer(),
            cancel,
        };
        let entries = archive::read_context(source, &mut sink)?;
        let context = Context { entries };
        context.check()?;
        Ok(Arc::new(context))
    }

    /// Forgets the contexts that nothing uses now.
    pub(crate) fn forget(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // What a build uses has a further owner.
        known.retain(|known| Arc::strong_count(&known.context) > 1);
    }
}

/// Puts an archive's contents into the pool.
struct Sink<'a> {
    pool: &'a Pool,
    buffer: Vec<u8>,
    cancel: &'a CancellationToken,
}

impl ContextSink for Sink<'_> {
    type Error = Error;

    fn keep(&mut self, mut content: &mut dyn Read) -> Result<(String, u64)> {
        let mut writer = self.pool.writer()?;
        pool::copy(&mut content, &mut writer, &mut self.buffer, self.cancel)?;
        let (digest, size) = writer.keep()?;
        Ok((digest.hex().to_owned(), size))
    }

    fn broken(&self, error: io::Error) -> Error {
        pool::received(error)
    }

    fn check(&self) -> Result<()> {
        match self.cancel.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}
