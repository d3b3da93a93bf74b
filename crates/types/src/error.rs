//! The kinds of errors that callers tell apart, whatever crate they come from.

use std::fmt;

/// What a caller can do about an error. `api` maps each kind to one HTTP status, the CLI to an
/// exit code; crates' own error enums offer `fn kind(&self) -> ErrorKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The named object does not exist.
    NotFound,
    /// The request itself is wrong.
    InvalidParameter,
    /// The request is at odds with the object's present state.
    Conflict,
    /// Nothing had to be done.
    NotModified,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// Something needed is not there right now; trying again may help.
    Unavailable,
    /// Known, and not supported yet.
    NotImplemented,
    /// The caller went away or called it off.
    Cancelled,
    /// The system or wharf itself failed.
    System,
}

/// An error as it crosses a boundary between crates that do not know each other: a kind and
/// a sentence that names the object, the cause and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// The sentence shown to the user.
    pub message: String,
}

impl Failure {
    /// A failure of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: message.to_string(),
        }
    }

    /// [`ErrorKind::NotFound`].
    pub fn not_found(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// [`ErrorKind::InvalidParameter`].
    pub fn invalid(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::InvalidParameter, message)
    }

    /// [`ErrorKind::Conflict`].
    pub fn conflict(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// [`ErrorKind::NotImplemented`].
    pub fn not_implemented(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotImplemented, message)
    }

    /// [`ErrorKind::System`].
    pub fn system(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::System, message)
    }
}
