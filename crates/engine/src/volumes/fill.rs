//! A volume that is empty takes over what the image has at its place: all of it or nothing.
//!
//! Files are copied beside, and put in place when all of them are there. Whoever starts with the
//! volume meanwhile waits for its gate, and then sees it whole. Where only one container has it, one
//! rename does it. A volume that others have already, or that is mounted from elsewhere, cannot be
//! exchanged under them: the files come by way of a directory in it, and a mark beside the volumes
//! says how far that went, so that whoever has the volume next takes away what is not whole and
//! finishes what is.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use super::{UNFINISHED, Volumes};
use crate::{
    blocking,
    error::{Error, Result},
    files,
    sync::lock,
    tree_copy,
    volume_copies::{DATA, Place, names, sync, sync_fd},
};

/// Begins the names of marks; no volume is called so.
const MARK: &str = ".fill-";
/// Ends them: names of volumes may have dots.
const MARK_END: &str = ".mark";
/// The second line of the mark of what only has to be moved up.
const WHOLE: &str = "whole";

/// What is on its way into a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Of the directory in the volume.
    name: String,
    whole: bool,
}

impl Part {
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let name = lines
            .next()
            .filter(|name| name.starts_with(UNFINISHED) && !name.contains('/'))?;
        Some(Self {
            name: name.to_owned(),
            whole: lines.next() == Some(WHOLE),
        })
    }

    fn text(&self) -> String {
        format!("{}\n{}\n", self.name, if self.whole { WHOLE } else { "" })
    }

    /// Moves up what is whole, and removes what is left. Can be repeated.
    fn settle(&self, place: &Path) -> Result<()> {
        let place = Place::open(place)?;
        // Gone already, or never made.
        if self.whole
            && let Some(part) = place.find(&self.name)?
        {
            place.move_up(part.as_fd(), true)?;
        }
        place.remove(&self.name)
    }
}

/// What a crash has left, by volumes.
pub(super) fn left(root: &Path) -> Result<BTreeMap<String, Part>> {
    let mut left = BTreeMap::new();
    let all = fs::read_dir(root).map_err(Error::path("look through", root))?;
    for entry in all.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(MARK)) else {
            continue;
        };
        let Some(volume) = rest.strip_suffix(MARK_END) else {
            // It did not become one.
            let _ = fs::remove_file(entry.path());
            continue;
        };
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        match Part::read(&text) {
            Some(part) => _ = left.insert(volume.to_owned(), part),
            // It was never written to the end, so nothing was begun.
            None => _ = fs::remove_file(entry.path()),
        }
    }
    Ok(left)
}

/// Whether there is nothing in a directory.
fn is_empty(dir: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(names(dir)?.next().transpose()?.is_none())
}

fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let copied = tree_copy::copy(from, to);
    copied.map(drop).map_err(Error::path("copy to", path))
}

impl Volumes {
    /// Fills the volume in `place`, which `user` has, with what is in `from`, unless there is
    /// something in it. For a thread that may block.
    pub(crate) fn fill(
        &self,
        name: &str,
        user: &str,
        place: &Path,
        from: BorrowedFd<'_>,
    ) -> Result<()> {
        let _gate = self.runtime.block_on(self.gate(name));
        let target = Place::open(place)?;
        let look = |dir| is_empty(dir).map_err(Error::path("look through", place));
        if !look(target.fd())? {
            return Ok(());
        }
        if look(from)? {
            // Its owner and mode are all that it gets.
            return copy(from, target.fd(), place);
        }
        let plain = self.get(name).is_some_and(|volume| volume.is_plain());
        if plain && self.users(name) == [user] {
            self.fill_beside(place, from)
        } else {
            self.fill_inside(name, place, &target, from)
        }
    }

    /// Nobody but its user knows the directory yet.
    fn fill_beside(&self, place: &Path, from: BorrowedFd<'_>) -> Result<()> {
        let unfinished = self.unfinished();
        let data = unfinished.0.join(DATA);
        self.make_dir(&data)?;
        let made = Place::open(&data)?;
        copy(from, made.fd(), &data)?;
        // A power cut must not leave the names of files without what is in them.
        sync(&unfinished.0)?;
        sys::failpoint!("engine.volume.filled");
        match fs::rename(&data, place) {
            // Some process of the host was faster.
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            done => done.map_err(Error::path("put in its place", place)),
        }
    }

    /// Others have the directory, and may do there what they like meanwhile.
    fn fill_inside(
        &self,
        name: &str,
        path: &Path,
        place: &Place<'_>,
        from: BorrowedFd<'_>,
    ) -> Result<()> {
        let mut part = Part {
            name: format!("{UNFINISHED}{}", types::id::generate()),
            whole: false,
        };
        self.mark(name, &part)?;
        let filled = place.make(&part.name).and_then(|dir| {
            copy(from, dir.as_fd(), path)?;
            sync_fd(dir.as_fd(), path)?;
            part.whole = true;
            self.mark(name, &part)?;
            Ok(dir)
        });
        sys::failpoint!("engine.volume.moving");
        let copied = match filled {
            // By the descriptor: the name may lead elsewhere by now. Where that fails, the mark has
            // the next one go on.
            Ok(dir) => place.move_up(dir.as_fd(), true).map(Ok)?,
            Err(error) => Err(error),
        };
        place.remove(&part.name)?;
        self.unmark(name);
        copied
    }

    /// Finishes or takes away what a crash has left in the volume, for who holds its gate.
    pub(super) async fn settle_filling(&self, name: &str, place: &Path) -> Result<()> {
        let Some(part) = lock(&self.filling).get(name).cloned() else {
            return Ok(());
        };
        let place = place.to_owned();
        blocking(move || part.settle(&place)).await?;
        self.unmark(name);
        Ok(())
    }

    fn mark(&self, name: &str, part: &Part) -> Result<()> {
        files::replace(&self.mark_of(name), part.text().as_bytes(), 0o600)?;
        lock(&self.filling).insert(name.to_owned(), part.clone());
        Ok(())
    }

    /// Nothing is on its way any more.
    pub(super) fn unmark(&self, name: &str) {
        if lock(&self.filling).remove(name).is_some()
            && let Err(error) = fs::remove_file(self.mark_of(name))
        {
            // It names a directory that is gone.
            tracing::debug!(volume = name, %error, "a mark stays");
        }
    }

    fn mark_of(&self, name: &str) -> PathBuf {
        self.root.join(format!("{MARK}{name}{MARK_END}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_written_and_lead_nowhere_else() {
        for whole in [false, true] {
            let part = Part {
                name: ".part-1".into(),
                whole,
            };
            assert_eq!(Part::read(&part.text()), Some(part));
        }
        for bad in ["", "data\nwhole", ".part-/../x\nwhole"] {
            assert_eq!(Part::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_whole_is_finished_and_what_is_not_goes() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path();
        for (whole, left) in [(false, vec!["own"]), (true, vec!["a", "b", "own"])] {
            fs::create_dir_all(place.join(".part-1")).unwrap();
            for file in [".part-1/a", ".part-1/b", ".part-1/own"] {
                fs::write(place.join(file), "from the image").unwrap();
            }
            fs::write(place.join("own"), "own").unwrap();
            let part = Part {
                name: ".part-1".into(),
                whole,
            };
            part.settle(place).unwrap();
            part.settle(place).unwrap();
            let mut names: Vec<_> = fs::read_dir(place)
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(names, left);
            assert_eq!(fs::read_to_string(place.join("own")).unwrap(), "own");
        }
    }
}
