//! A repository's files, as a context.

use std::{fs::File, os::unix::fs::PermissionsExt, path::Path};

use image::CancellationToken;
use types::build::{ContextEntry, EntryKind};

use crate::{
    Builder,
    contexts::Context,
    error::{Error, Result},
    pool,
};

/// Removes `.git`, and the files of that name in submodules.
pub(super) fn remove_git_dirs(repository: &Path) -> Result<()> {
    let mut waiting = vec![repository.to_owned()];
    while let Some(dir) = waiting.pop() {
        let what = || format!("read {}", dir.display());
        for entry in std::fs::read_dir(&dir).map_err(Error::io(what()))? {
            let entry = entry.map_err(Error::io(what()))?;
            let kind = entry.file_type().map_err(Error::io(what()))?;
            if entry.file_name() == ".git" {
                let removed = if kind.is_dir() {
                    std::fs::remove_dir_all(entry.path())
                } else {
                    std::fs::remove_file(entry.path())
                };
                removed.map_err(Error::io("remove .git of a repository"))?;
            } else if kind.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

/// The part of a context that is below `dir`.
pub(super) fn below(whole: Context, dir: &str, shown: &str) -> Result<Context> {
    if dir.is_empty() {
        return Ok(whole);
    }
    if whole
        .entries
        .get(dir)
        .is_none_or(|e| e.kind != EntryKind::Dir)
    {
        return Err(Error::invalid(format!(
            "{shown}: there is no directory {dir}"
        )));
    }
    let below = format!("{dir}/");
    let inside = whole.entries.into_iter();
    let entries = inside
        .filter_map(|(path, entry)| Some((path.strip_prefix(&below)?.to_owned(), entry)))
        .collect();
    Ok(Context { entries })
}

/// Names are text here: another one would be copied as something else.
fn text(name: &std::ffi::OsStr) -> Result<String> {
    let found = name.to_str().map(str::to_owned);
    found.ok_or_else(|| Error::invalid(format!("the name {} is not UTF-8", name.display())))
}

/// A context of what a directory has, all of it of one time: the commit's.
pub(super) fn of_directory(
    builder: &Builder,
    dir: &Path,
    time: i64,
    cancel: &CancellationToken,
) -> Result<Context> {
    let mut buffer = pool::buffer();
    let mut context = Context::default();
    let mut waiting = vec![(dir.to_owned(), String::new())];
    while let Some((dir, prefix)) = waiting.pop() {
        let what = || format!("read {}", dir.display());
        for entry in std::fs::read_dir(&dir).map_err(Error::io(what()))? {
            let entry = entry.map_err(Error::io(what()))?;
            let name = text(&entry.file_name())?;
            let path = format!("{prefix}{name}");
            let meta = entry.metadata().map_err(Error::io(what()))?;
            // As git has it: whatever the daemon's mask is.
            let program = meta.permissions().mode() & 0o100 != 0;
            let mut found = ContextEntry {
                kind: EntryKind::Dir,
                mode: if program { 0o755 } else { 0o644 },
                mtime: time,
                size: 0,
                digest: String::new(),
                link: String::new(),
            };
            if meta.is_dir() {
                waiting.push((entry.path(), format!("{path}/")));
            } else if meta.is_symlink() {
                found.kind = EntryKind::Symlink;
                found.mode = 0o777;
                let link = std::fs::read_link(entry.path()).map_err(Error::io(what()))?;
                found.link = text(link.as_os_str())?;
            } else if meta.is_file() {
                found.kind = EntryKind::File;
                let mut file = File::open(entry.path()).map_err(Error::io(what()))?;
                let mut writer = builder.contexts.pool.writer()?;
                pool::copy(&mut file, &mut writer, &mut buffer, cancel)?;
                let (digest, size) = writer.keep()?;
                digest.hex().clone_into(&mut found.digest);
                found.size = size;
            } else {
                continue;
            }
            context.entries.insert(path, found);
        }
    }
    Ok(context)
}
