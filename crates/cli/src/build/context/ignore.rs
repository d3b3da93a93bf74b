//! What a context leaves out.

use std::path::Path;

use dockerfile::Patterns;

use crate::error::{Error, Result};

/// Patterns of an ignore file.
#[derive(Default)]
pub(crate) struct Ignore {
    patterns: Option<Patterns>,
}

impl Ignore {
    /// Reads the text of the ignore file called `name`.
    pub(crate) fn parse(name: &str, text: &[u8]) -> Result<Self> {
        let patterns = Patterns::parse(text)
            .map_err(|e| Error::msg(format!("ERROR: failed to read {name}: {e}")))?;
        Ok(Self {
            patterns: Some(patterns).filter(|p| !p.is_empty()),
        })
    }

    /// The first of `files` that is there.
    pub(crate) fn of(files: &[std::path::PathBuf]) -> Result<Self> {
        for file in files {
            if let Some(text) = read(file)? {
                return Self::parse(&file.display().to_string(), &text);
            }
        }
        Ok(Self::default())
    }

    /// Whether `path` is left out.
    pub(crate) fn ignores(&self, path: &str) -> bool {
        self.patterns.as_ref().is_some_and(|p| p.ignores(path))
    }

    /// Whether something below the directory `path` may be a part though it is left out.
    pub(super) fn may_come_back_below(&self, path: &str) -> bool {
        let patterns = self.patterns.as_ref();
        patterns.is_some_and(|p| p.may_have_exceptions_below(path))
    }
}

/// A file's content; none where there is no file.
fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(file) {
        Ok(text) => Ok(Some(text)),
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(Error::file("open", &file.display().to_string(), &e)),
    }
}
