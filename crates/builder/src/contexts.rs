//! Contexts: which files there are, as clients told.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
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

/// The contexts that are known, and their contents.
#[derive(Debug)]
pub(crate) struct Contexts {
    pub pool: Pool,
    known: Mutex<VecDeque<(String, Arc<Context>)>>,
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
        let at = known.iter().position(|(name, _)| name == id);
        let entry = at.and_then(|at| known.remove(at)).ok_or_else(|| {
            Failure::new(
                ErrorKind::NotFound,
                format!("no such build context: {id}: it is to be sent whole"),
            )
        })?;
        known.push_back(entry.clone());
        Ok(entry.1)
    }

    fn remember(&self, id: String, context: Arc<Context>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(name, _)| *name != id);
        known.push_back((id, context));
        let entries = |known: &VecDeque<(String, Arc<Context>)>| {
            known.iter().map(|(_, c)| c.entries.len()).sum::<usize>()
        };
        while known.len() > 1 && (known.len() > REMEMBERED || entries(&known) > MAX_REMEMBERED) {
            known.pop_front();
        }
    }

    /// Takes in what a client tells.
    pub(crate) fn update(&self, update: ContextUpdate) -> Result<ContextAnswer> {
        let ContextUpdate {
            base,
            entries,
            removed,
        } = update;
        let base = base
            .map(|id| Ok::<_, Error>((self.get(&id)?, id)))
            .transpose()?;
        let changed: Vec<_> = entries.keys().cloned().collect();
        let (id, context) = match base {
            Some((base, id)) if entries.is_empty() && removed.is_empty() => (id, base),
            base => {
                let mut context = Context {
                    entries: base.map(|(b, _)| b.entries.clone()).unwrap_or_default(),
                };
                for path in &removed {
                    context.entries.remove(path);
                }
                context.entries.extend(entries);
                context.check()?;
                let id = context.id().to_string();
                let context = Arc::new(context);
                self.remember(id.clone(), Arc::clone(&context));
                (id, context)
            }
        };
        // What did not change was here when the base was told, and may be gone since.
        let all = context.entries.values();
        let missing: HashSet<&str> = all
            .filter(|e| e.kind == EntryKind::File)
            .filter(|e| Digest::from_hex(&e.digest).is_none_or(|d| !self.pool.has(&d)))
            .map(|e| e.digest.as_str())
            .collect();
        tracing::debug!(%id, changed = changed.len(), missing = missing.len(), "build context");
        let mut missing: Vec<_> = missing.into_iter().map(str::to_owned).collect();
        missing.sort_unstable();
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

    /// Forgets contexts, and contents that no context which is known has; answers their bytes.
    pub(crate) fn prune(&self, all: bool) -> u64 {
        let keep = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            // What a build uses now has a further owner.
            known.retain(|(_, context)| !all || Arc::strong_count(context) > 1);
            let entries = known.iter().flat_map(|(_, c)| c.entries.values());
            entries
                .filter_map(|e| Digest::from_hex(&e.digest))
                .collect()
        };
        self.pool.retain(&keep)
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
