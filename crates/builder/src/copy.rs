//! `COPY` and `ADD`.

use std::{
    collections::BTreeMap,
    io::{BufReader, Read, Seek, SeekFrom},
    os::fd::AsFd,
    sync::Arc,
};

use archive::Placer;
use dockerfile::{Copy, Heredoc, Patterns, Source, expand_raw};
use image::Digest;
use serde_json::json;
use types::build::{ContextEntry, EntryKind};

use crate::{
    contexts::Context,
    error::{Error, Result},
    keys,
    modes::ModeChange,
    place::{Attributes, Place},
    plan::{self, Origin},
    remote,
    select::{self, Rules, Selected},
    stage::StageRun,
    tree::{Node, Tree},
};

/// What is copied: files of a tree, each with what it means.
struct Part {
    tree: Arc<Tree>,
    selected: Vec<Selected>,
    /// Archives among them are unpacked.
    unpack: bool,
}

/// Does a `COPY`, or an `ADD`; answers whether it came from the cache.
pub(crate) fn copy(
    run: &mut StageRun<'_, '_>,
    what: &Copy,
    source: &str,
    add: bool,
) -> Result<bool> {
    let file = run.solver.plan.file;
    let origin = match &what.from {
        None => Origin::Context,
        Some(name) => plan::from(file, run.index, name, run.solver.request),
    };
    plan::before(&origin, what.from.as_deref().unwrap_or_default(), run.index)?;
    let target = run.word(&what.target)?;
    let is_dir =
        target.ends_with('/') || matches!(target.as_str(), "." | "..") || target.ends_with("/.");
    let target = run.absolute(&target);
    let chown = what.chown.as_deref().map(|c| run.word(c)).transpose()?;
    let mode = match &what.chmod {
        None => None,
        Some(text) => {
            let text = run.word(text)?;
            Some(ModeChange::parse(&text).ok_or_else(|| {
                Error::invalid(format!(
                    "invalid chmod parameter: '{text}'. it should be octal string and between 0 \
                     and 07777, or symbolic as u=rwX,go=rX"
                ))
            })?)
        }
    };
    let exclude: Vec<String> = what
        .exclude
        .iter()
        .map(|e| run.word(e))
        .collect::<Result<_>>()?;
    let exclude = Patterns::new(&exclude).map_err(Error::invalid)?;
    let rules = Rules {
        parents: what.parents,
        literal: false,
        exclude: &exclude,
    };
    let parts = match parts(run, what, &origin, rules, add) {
        Ok(parts) => parts,
        Err(error) => {
            // Nothing to copy is the step's own failure, and shown as that.
            let title = run.title(source);
            let running = run.solver.session.begin(title);
            running.end(false, error.to_string());
            return Err(error);
        }
    };
    let count: usize = parts.iter().map(|p| p.selected.len()).sum();
    let single = |p: &Part| p.selected.iter().any(|s| s.single);
    let into = count > 1 && !is_dir && parts.iter().any(single);
    let mut contents = Vec::new();
    for part in &parts {
        let digest = select::digest(&part.tree, &part.selected)?;
        contents.push(json!([digest.to_string(), part.unpack]));
    }
    // By name, an owner depends on the files of the stage.
    let numeric = |c: &String| c.bytes().all(|b| b.is_ascii_digit() || b == b':');
    let alone = what.link && chown.as_ref().is_none_or(numeric);
    let base = if alone { Vec::new() } else { run.draft.base() };
    let inputs = json!({
        "contents": contents, "target": target, "dir": is_dir, "chown": chown,
        "chmod": what.chmod.as_deref().map(|c| run.word(c)).transpose()?,
        "parents": what.parents, "link": what.link,
    });
    let key = keys::key("copy", &base, inputs, run.solver.epoch);
    let title = run.title(source);
    let created_by = format!("{} # buildkit", remote::without_passwords(source));
    let layers = run.draft.layers.clone();
    if alone {
        // Nothing below is looked at: the layer goes on top of whatever there is.
        run.draft.layers.clear();
    }
    let done = run.layer(&key, title, created_by, |run, _, step| {
        let root = step.mount()?;
        let cancel = &run.solver.session.cancel;
        let mut place = Place::new(root.as_fd(), cancel);
        // BuildKit would let the last file take the place of all others.
        if into && !place.is_dir(&target) {
            return Err(Error::invalid(format!(
                "When using {} with more than one source file, the destination must be a \
                 directory and end with a /",
                if add { "ADD" } else { "COPY" }
            )));
        }
        let worker = &run.solver.builder.worker;
        let owner = chown.as_deref().map(|c| worker.user(root.as_fd(), c));
        let attributes = Attributes {
            owner: owner.transpose()?,
            mode: mode.clone(),
        };
        for part in &parts {
            for selected in &part.selected {
                put(&mut place, part, selected, &target, is_dir, &attributes)?;
            }
        }
        place.finish()
    });
    if alone {
        let own = std::mem::replace(&mut run.draft.layers, layers);
        run.draft.layers.extend(own);
    }
    done
}

/// All files of a context as a layer: `FROM` one.
pub(crate) fn whole(run: &mut StageRun<'_, '_>, origin: &Origin) -> Result<()> {
    let tree = Arc::new(run.solver.tree(origin, &run.planned.platform)?);
    let exclude = Patterns::new(&[]).map_err(Error::invalid)?;
    let rules = Rules {
        parents: false,
        literal: false,
        exclude: &exclude,
    };
    let selected = select::select(&tree, "/", rules)?;
    let digest = select::digest(&tree, &selected)?;
    let key = keys::key(
        "copy",
        &[],
        json!({"contents": digest.to_string()}),
        run.solver.epoch,
    );
    let title = run.title("FROM context");
    run.layer(&key, title, "FROM context".to_owned(), |run, _, step| {
        let root = step.mount()?;
        let mut place = Place::new(root.as_fd(), &run.solver.session.cancel);
        for selected in &selected {
            place.all(&tree, selected, "", &Attributes::default())?;
        }
        place.finish()
    })
    .map(drop)
}

/// Finds what is to be copied.
fn parts(
    run: &StageRun<'_, '_>,
    what: &Copy,
    origin: &Origin,
    rules: Rules<'_>,
    add: bool,
) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut heredocs = Vec::new();
    let mut tree: Option<Arc<Tree>> = None;
    for source in &what.sources {
        let path = match source {
            Source::Heredoc(heredoc) => {
                heredocs.push(heredoc);
                continue;
            }
            Source::Path(path) => run.word(path)?,
        };
        if add && remote::is_remote(&path) {
            let checksum = what.checksum.as_deref().map(|c| run.word(c)).transpose()?;
            let context = remote::add(run, &path, checksum.as_deref(), what.keep_git_dir)?;
            let tree = Arc::new(of_context(run, context));
            let selected = if remote::is_git(&path) {
                select::select(&tree, "/", rules)?
            } else {
                select::select(&tree, "/*", rules)?
            };
            parts.push(Part {
                tree,
                selected,
                unpack: what.unpack == Some(true),
            });
            continue;
        }
        if what.checksum.is_some() {
            return Err(Error::invalid("checksum requires HTTP(S) or Git sources"));
        }
        let tree = match &tree {
            Some(tree) => Arc::clone(tree),
            None => {
                let made = Arc::new(run.solver.tree(origin, &run.planned.platform)?);
                Arc::clone(tree.insert(made))
            }
        };
        parts.push(Part {
            selected: select::select(&tree, &path, rules)?,
            tree,
            unpack: add && what.unpack.unwrap_or(true),
        });
    }
    if !heredocs.is_empty() {
        let tree = Arc::new(of_context(run, documents(run, &heredocs)?));
        let mut selected = Vec::new();
        for heredoc in &heredocs {
            let found = tree.resolve(&heredoc.name, false)?;
            let items = found.into_iter().map(|(path, meta)| select::Item {
                place: path.clone(),
                path,
                meta,
            });
            selected.push(Selected {
                items: items.collect(),
                single: true,
            });
        }
        parts.push(Part {
            tree,
            selected,
            unpack: false,
        });
    }
    Ok(parts)
}

fn of_context(run: &StageRun<'_, '_>, context: Arc<Context>) -> Tree {
    Tree::Context(context, Arc::clone(&run.solver.builder.contexts))
}

/// Documents of the file as files.
fn documents(run: &StageRun<'_, '_>, heredocs: &[&Heredoc]) -> Result<Arc<Context>> {
    let mut entries = BTreeMap::new();
    let now = jiff::Timestamp::now().as_second();
    for heredoc in heredocs {
        let text = if heredoc.expand {
            // In it a backslash escapes, whatever the file says.
            let expanded = expand_raw(&heredoc.content, '\\', &run.scope());
            expanded.map_err(Error::invalid)?.text
        } else {
            heredoc.content.clone()
        };
        let digest = run.solver.builder.contexts.pool.put(text.as_bytes())?;
        let entry = ContextEntry {
            kind: EntryKind::File,
            mode: 0o644,
            mtime: run.solver.epoch.unwrap_or(now),
            size: text.len() as u64,
            digest: digest.hex().to_owned(),
            link: String::new(),
        };
        if heredoc.name.contains('/') {
            return Err(Error::invalid(format!(
                "the name of a document cannot have a slash: {}",
                heredoc.name
            )));
        }
        entries.insert(heredoc.name.clone(), entry);
    }
    Ok(Arc::new(Context { entries }))
}

/// Puts what one source means to its place.
fn put(
    place: &mut Place<'_>,
    part: &Part,
    selected: &Selected,
    target: &str,
    is_dir: bool,
    attributes: &Attributes,
) -> Result<()> {
    let owner = attributes.owner.unwrap_or((0, 0));
    if part.unpack
        && selected.single
        && let [item] = selected.items.as_slice()
        && matches!(item.meta.node, Node::File { .. })
        && is_archive(&part.tree, item)?
    {
        place.dir(target, owner)?;
        return unpack(place, &part.tree, item, target, attributes);
    }
    if !selected.single {
        // What is copied into it is made in it; it has to be there also for nothing.
        place.dir(target, owner)?;
        return place.all(&part.tree, selected, target, attributes);
    }
    if is_dir || place.is_dir(target) {
        return place.all(&part.tree, selected, target, attributes);
    }
    let is_file = |item: &select::Item| matches!(item.meta.node, Node::File { .. });
    let target = if selected.items.iter().all(is_file) {
        // A link that has the name stays, as in BuildKit.
        place.follow(target)?
    } else {
        target.to_owned()
    };
    let (parent, name) = target.rsplit_once('/').unwrap_or(("", &target));
    let items = selected.items.iter().map(|item| select::Item {
        place: name.to_owned(),
        ..item.clone()
    });
    let renamed = Selected {
        items: items.collect(),
        single: true,
    };
    place.all(&part.tree, &renamed, parent, attributes)
}

/// Whether a file is an archive that `ADD` unpacks: tar, also packed.
fn is_archive(tree: &Tree, item: &select::Item) -> Result<bool> {
    let read = |e| Error::io(format!("read /{}", item.path))(e);
    let mut file = tree.open(&item.path, &item.meta)?;
    let mut head = [0_u8; 512];
    let got = read_some(&mut file, &mut head).map_err(read)?;
    if archive::Compression::of(&head[..got]) != archive::Compression::None {
        file.seek(SeekFrom::Start(0)).map_err(read)?;
        let Ok((mut unpacked, _)) = archive::unpacked(BufReader::new(file)) else {
            return Ok(false);
        };
        let got = match read_some(&mut unpacked, &mut head) {
            Ok(got) => got,
            Err(e) if archive::needs_too_much(&e) => {
                return Err(Error::invalid(format!(
                    "unpack /{}: {e}, or copy it with COPY",
                    item.path
                )));
            }
            // Packed, but no archive: copied as it is.
            Err(_) => return Ok(false),
        };
        return Ok(got == head.len() && archive::is_header(&head));
    }
    Ok(got == head.len() && archive::is_header(&head))
}

fn read_some(source: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match source.read(&mut buffer[got..])? {
            0 => break,
            length => got += length,
        }
    }
    Ok(got)
}

fn unpack(
    place: &Place<'_>,
    tree: &Tree,
    item: &select::Item,
    target: &str,
    attributes: &Attributes,
) -> Result<()> {
    let file = tree.open(&item.path, &item.meta)?;
    let owner = attributes.owner;
    let ids = move |uid, gid| owner.unwrap_or((uid, gid));
    let placer = Placer {
        root: place.root,
        dest: target.as_bytes().to_vec(),
        keep_kinds: false,
        ids: Some(&ids),
        rename: None,
        whole: false,
    };
    let unpacked = archive::unpacked(BufReader::with_capacity(64 << 10, file));
    unpacked
        .and_then(|(reader, _)| {
            let reader = Stops(reader, place.cancel);
            placer.place(BufReader::with_capacity(64 << 10, reader))
        })
        .map_err(|e| match place.cancel.is_cancelled() {
            true => Error::Cancelled,
            false => Error::invalid(format!("unpack /{}: {e}", item.path)),
        })
}

/// A reader that fails when its build is called off.
struct Stops<'a, R>(R, &'a image::CancellationToken);

impl<R: Read> Read for Stops<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.1.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        self.0.read(buffer)
    }
}

/// The digest that `--checksum` names.
pub(crate) fn checksum(text: &str) -> Result<Digest> {
    Digest::parse(text)
        .map_err(|_| Error::invalid(format!("invalid checksum {text:?}: write sha256:…")))
}
