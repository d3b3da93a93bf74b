//! What can go wrong, in the words Go's text/template uses for it.
//!
//! Users search the web for these sentences and scripts match on them, so they keep Go's exact
//! wording, which already names the template, the place in it and the cause.

use types::ErrorKind;

/// An error of parsing or executing a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not a template.
    #[error("{0}")]
    Parse(String),
    /// The template does not fit the data.
    #[error("{0}")]
    Exec(String),
    /// Either of the two, as docker's commands report it to their users.
    #[error("template parsing error: {0}")]
    Format(String),
}

impl Error {
    /// The template is always what is wrong.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidParameter
    }

    /// The same error with docker's `template parsing error: ` before it, which docker writes
    /// before errors of both kinds.
    #[must_use]
    pub fn into_format(self) -> Self {
        match self {
            Self::Parse(text) | Self::Exec(text) | Self::Format(text) => Self::Format(text),
        }
    }
}
