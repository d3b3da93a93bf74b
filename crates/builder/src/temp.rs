//! Directories that go with their owners.

use std::path::{Path, PathBuf};

use crate::{error::Result, pool::private_dir};

/// A directory that goes with its owner.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    /// Makes `path`, which nobody else has.
    pub(crate) fn new(path: PathBuf) -> Result<Self> {
        private_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove");
        }
    }
}
