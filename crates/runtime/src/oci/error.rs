//! What can go wrong while a container is made, and how that crosses from the process inside.

use std::io;

/// Result with this module's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in the runtime. Each names the object; the sentence is for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("invalid config.json: {field}: {problem}")]
    Config {
        /// The member, as a path: `linux.resources.pids.limit`.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// Not possible in the container's present state, or there is no such container.
    #[error("{0}")]
    State(String),
    /// The host lacks something, or wharf does not do it: named, with what to do.
    #[error("{0}")]
    Unsupported(String),
    /// The kernel refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried, with which object: `mount "proc" to "/proc"`.
        what: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The process inside told why it could not go on; its words are whole.
    #[error("{message}")]
    Inside {
        /// The words.
        message: String,
        /// The kernel's reason as a number; 0 if there is none.
        errno: i32,
    },
}

impl Error {
    /// A wrong configuration.
    pub fn config(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// The kernel's reason, where it was the kernel.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::System { source, .. } => source.raw_os_error(),
            Self::Inside { errno, .. } => (*errno != 0).then_some(*errno),
            _ => None,
        }
    }
}

/// Says what was being done when the kernel refused.
pub trait Context<T> {
    /// `what` is only put together when it is needed.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| Error::System {
            what: what().into(),
            source: e.into(),
        })
    }
}
