//! Errors that are found when a file is worked through.

use crate::{Error, Span, text::File};

/// An error at a place of the file `name` whose content is `text`, with the line drawn.
#[must_use]
pub fn error_at(name: &str, text: &[u8], span: Span, message: &str) -> Error {
    File::new(name, text).error(span.line, span.column, message)
}
