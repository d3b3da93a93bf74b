//! What shall become a volume, or what is in one, and goes with a crash.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use super::{UNFINISHED, Volume};
use crate::{
    error::{Error, Result},
    volume_copies,
};

/// A directory that goes when this does, unless it has become something.
pub(crate) struct Unfinished(pub PathBuf);

impl Unfinished {
    /// Removes it; one that is not there is no error.
    pub(super) fn remove(&self) -> Result<()> {
        let (Some(parent), Some(name)) = (self.0.parent(), self.0.file_name()) else {
            return Ok(());
        };
        fs::File::open(parent)
            .and_then(|dir| archive::remove_all(dir.as_fd(), name.as_encoded_bytes()))
            .map_err(Error::path("remove", &self.0))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "what was not finished stays");
        }
    }
}

/// Removes what a crash has left half made.
pub(super) fn remove_unfinished(root: &Path, known: &BTreeMap<String, Volume>) -> Result<()> {
    for entry in fs::read_dir(root)
        .map_err(Error::path("look through", root))?
        .flatten()
    {
        let name = entry.file_name();
        let on_record = name.to_str().is_some_and(|name| known.contains_key(name));
        let mark = entry.path().join(volume_copies::NEW);
        if on_record {
            // It was put on record, and nothing came after.
            let _ = fs::remove_file(mark);
        } else if name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) || mark.exists() {
            drop(Unfinished(entry.path()));
        }
    }
    Ok(())
}
