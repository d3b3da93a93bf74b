//! Why a build ended.

use types::{ErrorKind, Failure};

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a build ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Something in the Dockerfile, with its place drawn.
    #[error("{0}")]
    Dockerfile(String),
    /// A command of a `RUN` that ended with another code than 0.
    #[error("process \"{command}\" did not complete successfully: exit code: {code}{place}")]
    Command {
        /// Program and arguments.
        command: String,
        /// How it ended.
        code: i32,
        /// Where it stands in the file, on lines of their own.
        place: String,
    },
    /// Anything else that is told as it is.
    #[error("{0}")]
    Failure(#[from] Failure),
    /// The client went away or called it off.
    #[error("build canceled")]
    Cancelled,
}

impl Error {
    /// A request that makes no sense.
    pub(crate) fn invalid(message: impl std::fmt::Display) -> Self {
        Failure::invalid(message).into()
    }

    /// A failure of the system, while `what` was done.
    pub(crate) fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |e| Failure::new(ErrorKind::System, format!("{what}: {e}")).into()
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Dockerfile(_) => ErrorKind::InvalidParameter,
            Self::Command { .. } => ErrorKind::System,
            Self::Failure(failure) => failure.kind,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }
}

impl From<image::Error> for Error {
    fn from(error: image::Error) -> Self {
        match error {
            image::Error::Cancelled(_) => Self::Cancelled,
            error => Failure::new(error.kind(), error).into(),
        }
    }
}

impl From<dockerfile::Error> for Error {
    fn from(error: dockerfile::Error) -> Self {
        Self::Dockerfile(error.to_string())
    }
}
