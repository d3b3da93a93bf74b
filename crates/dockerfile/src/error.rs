//! What is wrong in a file, where, and what to write instead.

use std::fmt;

use crate::span::Span;

/// What is wrong in a Dockerfile.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What is wrong, in BuildKit's words where it has some.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What to do about it.
    pub hint: Option<String>,
    /// The file's name.
    pub(crate) name: String,
    /// The line or lines with a caret below.
    pub(crate) drawing: String,
}

impl Error {
    /// The lines of the file that the error is about, with carets below the place.
    #[must_use]
    pub fn drawing(&self) -> &str {
        &self.drawing
    }
}

/// `Dockerfile:12:5: unknown instruction: COPPY (did you mean COPY?)` and the drawing.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { line, column, .. } = self.span;
        write!(f, "{}:{line}:{column}: {}", self.name, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        if !self.drawing.is_empty() {
            write!(f, "\n{}", self.drawing)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
