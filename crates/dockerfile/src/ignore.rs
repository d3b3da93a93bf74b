//! `.dockerignore`.

/// What of a context is left out.
#[derive(Clone, Debug, Default)]
pub struct Patterns {}

impl Patterns {
    /// Reads an ignore file.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn parse(_text: &[u8]) -> Result<Self, String> {
        todo!()
    }

    /// Takes patterns that were read already.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn new(_list: &[String]) -> Result<Self, String> {
        todo!()
    }

    /// Whether a path (relative, with slashes) is left out, by itself or by a directory above.
    #[must_use]
    pub fn ignores(&self, _path: &str) -> bool {
        todo!()
    }

    /// Whether something below a directory may come back by a `!` pattern, so that the directory
    /// must be walked although it is left out.
    #[must_use]
    pub fn may_have_exceptions_below(&self, _dir: &str) -> bool {
        todo!()
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        todo!()
    }
}
