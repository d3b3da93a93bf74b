//! What a container has changed in its image's files: `docker diff`.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{self as rfs, AtFlags, FileType},
    io::Errno,
};
use types::container::FilesystemChange;

use crate::{
    Engine, blocking,
    error::{Error, Result},
};

const MODIFIED: u8 = 0;
const ADDED: u8 = 1;
const DELETED: u8 = 2;

/// Where the engine's own files are mounted: an empty file there is none of the container's.
const PLACES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// Changes that are told at most: a client must not be able to ask for all memory.
const MOST: usize = 5_000_000;

impl Engine {
    /// What a container has changed, sorted by path.
    ///
    /// # Errors
    /// When there is no such container, or its layers cannot be read.
    pub async fn changes(self: &Arc<Self>, name: &str) -> Result<Vec<FilesystemChange>> {
        let container = self.find(name)?;
        let images = self.images.clone();
        blocking(move || {
            let (upper, lower) = images.container_layers(&container.id)?;
            let what = format!("compare the files of container {}", container.id);
            compare(&upper, &lower).map_err(Error::io(what))
        })
        .await
    }
}

fn compare(upper: &Path, lower: &[PathBuf]) -> io::Result<Vec<FilesystemChange>> {
    let mut changes = Vec::new();
    let root = fs::File::open(upper)?;
    let mut waiting = vec![PathBuf::new()];
    while let Some(dir) = waiting.pop() {
        let open = match archive::open_below(root.as_fd(), dir.as_os_str().as_bytes()) {
            Ok(open) => open,
            // The container runs meanwhile.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(e) => return Err(e.into()),
        };
        // A directory that was removed and made again hides what was in it.
        let mut hidden = if archive::is_opaque(open.as_fd()) {
            names_below(lower, &dir)?
        } else {
            BTreeSet::new()
        };
        let (mut places, mut others) = (false, !hidden.is_empty());
        for entry in rfs::Dir::read_from(&open)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = rfs::statat(&open, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            hidden.remove(OsStr::from_bytes(name.to_bytes()));
            let path = dir.join(OsStr::from_bytes(name.to_bytes()));
            let what = FileType::from_raw_mode(stat.st_mode);
            let kind = if what == FileType::CharacterDevice && stat.st_rdev == 0 {
                DELETED
            } else if is_below(lower, &path) {
                MODIFIED
            } else {
                ADDED
            };
            if stat.st_size == 0 && PLACES.iter().any(|p| Path::new(p) == path) {
                places = true;
                continue;
            }
            others = true;
            if what == FileType::Directory {
                waiting.push(path.clone());
            }
            add(&mut changes, &path, kind)?;
        }
        for name in hidden {
            add(&mut changes, &dir.join(name), DELETED)?;
        }
        if places && !others {
            // It was changed by those places alone.
            let path = format!("/{}", dir.display());
            changes.retain(|change| change.path != path);
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

fn is_whiteout(meta: &fs::Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn add(changes: &mut Vec<FilesystemChange>, path: &Path, kind: u8) -> io::Result<()> {
    changes.push(FilesystemChange {
        path: format!("/{}", path.display()),
        kind,
    });
    if changes.len() > MOST {
        return Err(io::Error::other(format!("it has more than {MOST} changes")));
    }
    Ok(())
}

/// What the layers show in the directory `path`.
fn names_below(layers: &[PathBuf], path: &Path) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for layer in layers {
        let entries = match fs::read_dir(layer.join(path)) {
            Ok(entries) => entries,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                continue;
            }
            Err(e) => return Err(e),
        };
        for entry in entries {
            names.insert(entry?.file_name());
        }
        if names.len() > MOST {
            return Err(io::Error::other(format!("it has more than {MOST} changes")));
        }
    }
    names.retain(|name| is_below(layers, &path.join(name)));
    Ok(names)
}

/// Whether the layers, topmost first, show something at `path`.
fn is_below(layers: &[PathBuf], path: &Path) -> bool {
    for layer in layers {
        let mut opaque = false;
        let mut at = layer.clone();
        let mut parts = path.components().peekable();
        loop {
            let Some(part) = parts.next() else {
                return true;
            };
            at.push(part);
            let Ok(meta) = fs::symlink_metadata(&at) else {
                break;
            };
            if is_whiteout(&meta) {
                return false;
            }
            if parts.peek().is_some() {
                if !meta.is_dir() {
                    // Something else hides what was a directory further down.
                    return false;
                }
                opaque |= fs::File::open(&at).is_ok_and(|dir| archive::is_opaque(dir.as_fd()));
            }
        }
        if opaque {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_files_are_compared_with_what_the_layers_show() {
        let dir = tempfile::tempdir().unwrap();
        let make = |layer: &str, path: &str| {
            let path = dir.path().join(layer).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let whiteout = |path: PathBuf| {
            let mode = rustix::fs::Mode::RUSR;
            let kind = rustix::fs::FileType::CharacterDevice;
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
        };
        fs::write(make("low", "d/old"), "").unwrap();
        fs::write(make("low", "d/gone"), "").unwrap();
        fs::write(make("low", "kept"), "").unwrap();
        whiteout(make("high", "d/gone"));
        fs::write(make("up", "d/old"), "x").unwrap();
        fs::write(make("up", "d/gone"), "again").unwrap();
        fs::write(make("up", "new/file"), "x").unwrap();
        whiteout(make("up", "kept"));
        fs::write(make("low", "again/old"), "").unwrap();
        fs::write(make("low", "again/both"), "").unwrap();
        whiteout(make("high", "again/gone"));
        fs::write(make("low", "again/gone"), "").unwrap();
        fs::write(make("up", "again/both"), "").unwrap();
        let again = fs::File::open(dir.path().join("up/again")).unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::fsetxattr(&again, "trusted.overlay.opaque", b"y", flags).unwrap();
        let layers = ["high", "low"].map(|l| dir.path().join(l));
        let changes = compare(&dir.path().join("up"), &layers).unwrap();
        let shown: Vec<_> = changes.iter().map(|c| (c.path.as_str(), c.kind)).collect();
        assert_eq!(
            shown,
            [
                ("/again", MODIFIED),
                ("/again/both", MODIFIED),
                ("/again/old", DELETED),
                ("/d", MODIFIED),
                ("/d/gone", ADDED),
                ("/d/old", MODIFIED),
                ("/kept", DELETED),
                ("/new", ADDED),
                ("/new/file", ADDED),
            ]
        );
    }
}
