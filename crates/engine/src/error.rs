//! What can go wrong with containers.

use std::{io, path::Path};

use types::{ErrorKind, Failure};

/// An error of the engine. Messages are Docker's where Docker has one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No container has this name or identifier.
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    /// Several containers' identifiers begin like this.
    #[error("multiple containers found with provided prefix: {0}")]
    AmbiguousPrefix(String),
    /// There is no image as asked for.
    #[error("{0}")]
    NoSuchImage(String),
    /// No network has this name or identifier.
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    /// A driver that nobody has.
    #[error("plugin {0:?} not found")]
    NoSuchPlugin(String),
    /// A container has nothing at this path.
    #[error("Could not find the file {path} in container {container}")]
    NoSuchPath {
        /// The path.
        path: String,
        /// The container, as the client called it.
        container: String,
    },
    /// No volume has this name.
    #[error("get {0}: no such volume")]
    NoSuchVolume(String),
    /// A program that keeps volumes refused or failed.
    #[error("{name}: {told}")]
    Plugin {
        /// Which.
        name: String,
        /// What it said, or what is wrong with that.
        told: String,
    },
    /// What was being done when `source` happened, in Docker's order of words.
    #[error("{what}: {source}")]
    Doing {
        /// What, with the object's name.
        what: String,
        /// Why it failed.
        source: Box<Error>,
    },
    /// It may not be changed.
    #[error("{0}")]
    Forbidden(String),
    /// No exec has this identifier.
    #[error("No such exec instance: {0}")]
    NoSuchExec(String),
    /// Another container has the name.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameInUse {
        /// The name.
        name: String,
        /// Who has it.
        id: String,
    },
    /// It must run for this.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// Nothing had to be done.
    #[error("{0}")]
    NotModified(&'static str),
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The request does not fit the object's state.
    #[error("{0}")]
    Conflict(String),
    /// Known, and not supported yet.
    #[error("{0}")]
    NotSupported(String),
    /// The first process could not be started.
    #[error("{message}")]
    Start {
        /// 125, 126 or 127.
        code: i32,
        /// What the runtime said.
        message: String,
    },
    /// The image store refused or failed.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The network refused or failed.
    #[error("failed to set up container networking: {0}")]
    Network(#[from] network::Error),
    /// A network itself cannot be made or removed.
    #[error(transparent)]
    Fabric(network::Error),
    /// The runtime's set-up refused or failed.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// The records could not be read or written.
    #[error("the records in {path} could not be {what}: {source}")]
    Records {
        /// The file.
        path: String,
        /// `read`, `written`, …
        what: &'static str,
        /// Why.
        source: Box<redb::Error>,
    },
    /// A file or socket operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the object's name.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// An answer of the engine.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Names what was being done when `source` happened; for `map_err`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// As [`Error::io`], for an operation on a path.
    pub fn path(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(format!("{what} {}", path.display()))
    }

    /// Says before it what was being done.
    #[must_use]
    pub fn doing(self, what: &str) -> Self {
        Self::Doing {
            what: what.to_owned(),
            source: Box::new(self),
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchContainer(_)
            | Self::NoSuchImage(_)
            | Self::NoSuchNetwork(_)
            | Self::NoSuchPlugin(_)
            | Self::NoSuchVolume(_)
            | Self::NoSuchPath { .. }
            | Self::NoSuchExec(_) => ErrorKind::NotFound,
            Self::AmbiguousPrefix(_) | Self::Invalid(_) => ErrorKind::InvalidParameter,
            Self::NameInUse { .. } | Self::NotRunning(_) | Self::Conflict(_) => ErrorKind::Conflict,
            Self::Forbidden(_) => ErrorKind::Forbidden,
            Self::NotModified(_) => ErrorKind::NotModified,
            Self::NotSupported(_) => ErrorKind::NotImplemented,
            // Docker: a program that cannot be started is the request's fault.
            Self::Start {
                code: 126 | 127, ..
            } => ErrorKind::InvalidParameter,
            Self::Image(e) => e.kind(),
            Self::Network(e) | Self::Fabric(e) => e.kind(),
            Self::Runtime(e) => e.kind(),
            Self::Doing { source, .. } => source.kind(),
            Self::Start { .. } | Self::Records { .. } | Self::Io { .. } | Self::Plugin { .. } => {
                ErrorKind::System
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}
