//! Which files a `COPY`, `ADD` or bind mount means, and the digest of them.

use std::collections::HashMap;

use dockerfile::{Patterns, glob_match};
use image::{Digest, Hasher};

use crate::{
    error::{Error, Result},
    tree::{Inode, Meta, Node, Tree},
};

/// A file to be copied.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its path in its tree, without links.
    pub path: String,
    /// Where it goes, relative to the target directory; `""` for what becomes the target itself.
    pub place: String,
    pub meta: Meta,
}

/// What one source means.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Parents before what they hold.
    pub items: Vec<Item>,
    /// It is one file, which may get another name.
    pub single: bool,
}

/// How sources are looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// `--parents`: their directories come along.
    pub parents: bool,
    /// Nothing is a pattern: sources of mounts.
    pub literal: bool,
    /// `--exclude`.
    pub exclude: &'a Patterns,
}

/// A path as people write it, below the root whatever it says.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '\\'])
}

/// Finds what `source` means.
pub(crate) fn select(tree: &Tree, source: &str, rules: Rules<'_>) -> Result<Vec<Selected>> {
    // With `--parents`, what is before `/./` does not come along: so many names of each match.
    let path = clean(source);
    let pivot = match source.split_once("/./") {
        Some((pivot, _)) if rules.parents => names(&clean(pivot)),
        _ => 0,
    };
    if rules.literal || !is_pattern(&path) {
        let found = tree.resolve(&path, true)?.ok_or_else(|| not_found(&path))?;
        return Ok(vec![one(tree, &path, pivot, found, rules)?]);
    }
    let mut matches = Vec::new();
    let base = path
        .split('/')
        .take_while(|p| !is_pattern(p))
        .collect::<Vec<_>>()
        .join("/");
    let Some((real, _)) = tree.resolve(&base, true)? else {
        return Err(not_found(&path));
    };
    // Only `--parents` knows `**`; elsewhere it is one `*` and another.
    let deep = rules.parents && path.contains("**");
    let depth = (!deep).then(|| path.matches('/').count());
    tree.walk(&real, &mut |entry, _| {
        let seen = format!("{base}{}", &entry[real.len()..]);
        let seen = seen.trim_start_matches('/');
        let level = deep || depth == Some(seen.matches('/').count());
        if level && glob_match(&path, seen).map_err(Error::invalid)? {
            matches.push(seen.to_owned());
            // What is below comes with it.
            return Ok(false);
        }
        Ok(depth.is_none_or(|depth| seen.matches('/').count() < depth))
    })?;
    // A pattern may mean nothing: `COPY package.json yarn.lock* ./`.
    let each = matches.iter().map(|path| {
        let found = tree.resolve(path, true)?.ok_or_else(|| not_found(path))?;
        one(tree, path, pivot, found, rules)
    });
    each.collect()
}

/// How many names a path has.
fn names(path: &str) -> usize {
    path.split('/').filter(|name| !name.is_empty()).count()
}

fn not_found(path: &str) -> Error {
    Error::invalid(format!(
        "failed to calculate checksum: \"/{path}\": not found: is it there, and not ignored by \
         .dockerignore?"
    ))
}

fn one(
    tree: &Tree,
    asked: &str,
    pivot: usize,
    (real, meta): (String, Meta),
    rules: Rules<'_>,
) -> Result<Selected> {
    let mut items = Vec::new();
    let name = asked.rsplit_once('/').map_or(asked, |(_, name)| name);
    let (left, kept) = match asked.match_indices('/').nth(pivot.wrapping_sub(1)) {
        Some((at, _)) => (&asked[..at], &asked[at + 1..]),
        None => ("", asked),
    };
    let is_dir = meta.node == Node::Dir;
    let prefix = if rules.parents {
        for (at, _) in kept.match_indices('/') {
            let parent = &kept[..at];
            let whole = if left.is_empty() {
                parent.to_owned()
            } else {
                format!("{left}/{parent}")
            };
            if let Some((path, meta)) = tree.resolve(&whole, true)? {
                let place = parent.to_owned();
                items.push(Item { path, place, meta });
            }
        }
        kept.to_owned()
    } else if is_dir {
        String::new()
    } else {
        name.to_owned()
    };
    if !is_dir {
        if !rules
            .exclude
            .ignores(if rules.parents { &prefix } else { name })
        {
            let place = prefix;
            items.push(Item {
                path: real,
                place,
                meta,
            });
        }
        return Ok(Selected {
            items,
            single: !rules.parents,
        });
    }
    if !prefix.is_empty() {
        items.push(Item {
            path: real.clone(),
            place: prefix.clone(),
            meta,
        });
    }
    tree.walk(&real, &mut |path, meta| {
        let below = path[real.len()..].trim_start_matches('/');
        let exclude = rules.exclude;
        if !exclude.is_empty() && exclude.ignores(below) {
            return Ok(exclude.may_have_exceptions_below(below));
        }
        let place = if prefix.is_empty() {
            below.to_owned()
        } else {
            format!("{prefix}/{below}")
        };
        items.push(Item {
            path: path.to_owned(),
            place,
            meta: meta.clone(),
        });
        Ok(true)
    })?;
    Ok(Selected {
        items,
        single: false,
    })
}

/// The digest of what was selected: names, kinds, modes, owners where they mean something,
/// contents, and which names are one file; but no times.
pub(crate) fn digest(tree: &Tree, selected: &[Selected]) -> Result<Digest> {
    let mut fields = Fields::default();
    for one in selected {
        let mut files: HashMap<Inode, &str> = HashMap::new();
        fields.add(if one.single { b"single" } else { b"many" });
        fields.add(one.items.len().to_string().as_bytes());
        for item in &one.items {
            let Meta {
                node,
                mode,
                uid,
                gid,
                mtime: _,
                inode,
            } = &item.meta;
            let content = match node {
                Node::File { .. } => tree.digest(&item.path, &item.meta)?.to_string(),
                Node::Dir => "dir".to_owned(),
                Node::Symlink(target) => format!("link {target}"),
                Node::Special(kind, number) => format!("{kind:?} {number}"),
            };
            fields.add(item.place.as_bytes());
            fields.add(format!("{mode:o} {uid} {gid}").as_bytes());
            fields.add(content.as_bytes());
            let xattrs = tree.xattrs(&item.path, &item.meta);
            fields.add(xattrs.len().to_string().as_bytes());
            for (name, value) in xattrs {
                fields.add(&name);
                fields.add(&value);
            }
            if let Some(inode) = inode {
                match files.get(inode) {
                    Some(first) => fields.add(format!("the same as {first}").as_bytes()),
                    None => _ = files.insert(*inode, &item.place),
                }
            }
        }
    }
    Ok(fields.0.finish())
}

/// Hashes fields so that none can be taken for another: each after its length.
#[derive(Default)]
struct Fields(Hasher);

impl Fields {
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }
}
