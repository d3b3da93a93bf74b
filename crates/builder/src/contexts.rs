//! Contexts: which files there are, as clients told.

use std::{
    collections::{BTreeMap, VecDeque},
    io::BufRead,
    sync::{Arc, Mutex, PoisonError},
};

use archive::{Kind, TarReader};
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

    /// Of a directory that something else has taken the place of.
    fn forget_below(&mut self, path: &str) {
        let below = format!("{path}/");
        let range = self.entries.range(below.clone()..);
        let gone: Vec<_> = range
            .map(|(p, _)| p.clone())
            .take_while(|p| p.starts_with(&below))
            .collect();
        for path in gone {
            self.entries.remove(&path);
        }
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

    fn remember(&self, id: String, context: Arc<Context>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.id != id);
        known.push_back(Known {
            id,
            context,
            touched: pool::seconds(),
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
        self.remember(id.clone(), Arc::clone(&context));
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
        let broken = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                Error::invalid(format!("the build context is no whole archive: {e}"))
            }
            _ => Error::io("receive the build context")(e),
        };
        let (reader, _) = archive::unpacked(source).map_err(broken)?;
        let mut tar = TarReader::new(std::io::BufReader::with_capacity(64 << 10, reader));
        let mut buffer = pool::buffer();
        let mut context = Context::default();
        while let Some(header) = tar.next().map_err(broken)? {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let path = archive::clean(&header.path)
                .and_then(|path| String::from_utf8(path).ok())
                .ok_or_else(|| {
                    let path = String::from_utf8_lossy(&header.path);
                    Error::invalid(format!("{path:?} leads out of the build context"))
                })?;
            if path.is_empty() {
                continue;
            }
            let mut entry = ContextEntry {
                kind: EntryKind::File,
                mode: header.mode & 0o7777,
                mtime: header.mtime.0,
                size: 0,
                digest: String::new(),
                link: String::new(),
            };
            match header.kind {
                Kind::Dir => entry.kind = EntryKind::Dir,
                Kind::Symlink => {
                    entry.kind = EntryKind::Symlink;
                    entry.link = String::from_utf8(header.link.clone()).map_err(|_| {
                        Error::invalid(format!("the link {path:?} leads to what is not UTF-8"))
                    })?;
                }
                Kind::File if header.sparse.is_some() => {
                    return Err(Error::invalid(format!(
                        "{path:?} is stored with holes, which is not supported in a build context: \
                         make the archive without --sparse"
                    )));
                }
                Kind::File => {
                    let mut writer = self.pool.writer()?;
                    pool::copy(&mut Data(&mut tar), &mut writer, &mut buffer, cancel)?;
                    let (digest, size) = writer.keep()?;
                    digest.hex().clone_into(&mut entry.digest);
                    entry.size = size;
                }
                Kind::HardLink => {
                    let target = archive::clean(&header.link)
                        .and_then(|link| String::from_utf8(link).ok())
                        .and_then(|link| context.entries.get(&link).cloned());
                    entry = target.ok_or_else(|| {
                        Error::invalid(format!("{path:?} is a link to what is not in the archive"))
                    })?;
                }
                Kind::Char | Kind::Block | Kind::Fifo => continue,
            }
            add_parents(&mut context, &path);
            if entry.kind != EntryKind::Dir {
                context.forget_below(&path);
            }
            context.entries.insert(path, entry);
        }
        // To the end of what the client sends: only then is it seen to go away.
        let mut rest = tar.drain().map_err(broken)?;
        pool::copy(&mut rest, &mut std::io::sink(), &mut buffer, cancel)?;
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

/// An archive need not have an entry for each directory.
fn add_parents(context: &mut Context, path: &str) {
    for (at, _) in path.match_indices('/') {
        let parent = &path[..at];
        if context
            .entries
            .get(parent)
            .is_none_or(|e| e.kind != EntryKind::Dir)
        {
            let entry = ContextEntry {
                kind: EntryKind::Dir,
                mode: 0o755,
                mtime: 0,
                size: 0,
                digest: String::new(),
                link: String::new(),
            };
            context.entries.insert(parent.to_owned(), entry);
        }
    }
}

/// The data of an archive's present entry.
struct Data<'a, R>(&'a mut TarReader<R>);

impl<R: BufRead> std::io::Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let data = self.0.data()?;
        let length = data.len().min(buffer.len());
        buffer[..length].copy_from_slice(&data[..length]);
        self.0.consume(length);
        Ok(length)
    }
}
