//! What can go wrong with images. Texts that Docker's clients and scripts match on are Docker's.

use std::io;

use types::ErrorKind;
use types::reference::ReferenceError;

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with an image, a layer, a registry or a container's file system.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing here has that name or id.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// A name or tag that is to be pushed and is not here.
    #[error("{0}")]
    Missing(String),
    /// Several images' ids begin so.
    #[error("No such image: {0}: several image ids begin so, give more of it")]
    AmbiguousId(String),
    /// There is no writable layer for that container.
    #[error("no file system for container {0}: it was never created or is removed already")]
    NoSuchContainer(String),
    /// There is a writable layer for that container already.
    #[error("container {0} has a file system already")]
    ContainerExists(String),
    /// Not a reference.
    #[error("{0}")]
    Reference(#[from] ReferenceError),
    /// A request that makes no sense; the sentence says why.
    #[error("{0}")]
    Invalid(String),
    /// Something known that is not supported.
    #[error("{0}")]
    Unsupported(String),
    /// The image is in use or named otherwise.
    #[error("{0}")]
    Conflict(String),
    /// The registry does not have the tag or digest.
    #[error("manifest for {reference} not found: {detail}")]
    ManifestUnknown {
        /// As the user would write it.
        reference: String,
        /// The registry's words.
        detail: String,
    },
    /// The registry does not have the repository.
    #[error("repository {name} not found: {detail}")]
    RepositoryUnknown {
        /// As the user would write it.
        name: String,
        /// The registry's words.
        detail: String,
    },
    /// The registry does not give the repository to this user.
    #[error(
        "pull access denied for {name}, repository does not exist or may require \
         'docker login': {detail}"
    )]
    AccessDenied {
        /// As the user would write it.
        name: String,
        /// The registry's words.
        detail: String,
    },
    /// Credentials are missing or were refused.
    #[error("{registry}: {detail}")]
    Unauthorized {
        /// The registry or token server.
        registry: String,
        /// Its words.
        detail: String,
    },
    /// The registry cannot be reached or does not answer as a registry does.
    #[error("{registry}: {detail}")]
    Registry {
        /// The registry or the address asked.
        registry: String,
        /// What happened.
        detail: String,
    },
    /// The index has nothing for the platform.
    #[error("no matching manifest for {0} in the manifest list entries")]
    NoPlatform(String),
    /// A single-platform image of another platform.
    #[error(
        "image with reference {reference} was found but does not match the specified platform: \
         wanted {wanted}, actual: {actual}"
    )]
    WrongPlatform {
        /// As the user would write it.
        reference: String,
        /// Asked for.
        wanted: String,
        /// What it is.
        actual: String,
    },
    /// An image here that is not for the platform asked for.
    #[error(
        "image with reference {reference} was found but does not provide the specified platform \
         ({wanted}): it is for {actual}"
    )]
    NotForPlatform {
        /// As the user would write it.
        reference: String,
        /// Asked for.
        wanted: String,
        /// What it is.
        actual: String,
    },
    /// The registry does not let this user do it; its words.
    #[error("{0}")]
    Denied(String),
    /// A manifest, index or configuration that cannot be used.
    #[error("{what} is not usable: {why}")]
    BadManifest {
        /// Which document.
        what: String,
        /// The reason.
        why: String,
    },
    /// Content that is not what its digest says.
    #[error("{what}: digest is {actual}, expected {expected}; the content was damaged on its way")]
    Digest {
        /// Which content.
        what: String,
        /// Named.
        expected: String,
        /// Found.
        actual: String,
    },
    /// Content of another length than announced.
    #[error("{what}: got {actual} bytes, expected {expected}; the content is not complete")]
    Size {
        /// Which content.
        what: String,
        /// Announced.
        expected: u64,
        /// Found.
        actual: u64,
    },
    /// A layer or archive that cannot be unpacked.
    #[error("{what} cannot be unpacked: {why}")]
    BadArchive {
        /// Which layer or archive.
        what: String,
        /// The reason.
        why: String,
    },
    /// The disk is full.
    #[error("{what}: no space left on device; free some space below the data root and try again")]
    NoSpace {
        /// What was being written.
        what: String,
    },
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The caller called it off.
    #[error("{0} was cancelled")]
    Cancelled(&'static str),
    /// The overlay could not be mounted.
    #[error(transparent)]
    Overlay(#[from] sys::overlay::OverlayError),
}

impl Error {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchImage(_)
            | Self::Missing(_)
            | Self::AmbiguousId(_)
            | Self::NoSuchContainer(_)
            | Self::ManifestUnknown { .. }
            | Self::RepositoryUnknown { .. }
            | Self::AccessDenied { .. }
            | Self::NoPlatform(_)
            | Self::NotForPlatform { .. }
            | Self::WrongPlatform { .. } => ErrorKind::NotFound,
            Self::Reference(_) | Self::Invalid(_) | Self::BadArchive { .. } => {
                ErrorKind::InvalidParameter
            }
            Self::Unsupported(_) => ErrorKind::NotImplemented,
            Self::Conflict(_) | Self::ContainerExists(_) => ErrorKind::Conflict,
            Self::Unauthorized { .. } => ErrorKind::Unauthorized,
            Self::Denied(_) => ErrorKind::Forbidden,
            Self::Cancelled(_) => ErrorKind::Cancelled,
            Self::Registry { .. }
            | Self::BadManifest { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::NoSpace { .. }
            | Self::Io { .. }
            | Self::Overlay(_) => ErrorKind::System,
        }
    }

    /// Makes an error of a failed system call; a full disk is told apart.
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let (what, source) = (what.into(), source.into());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { what },
            _ => Self::Io { what, source },
        }
    }

    pub(crate) fn bad_manifest(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::BadManifest {
            what: what.into(),
            why: why.into(),
        }
    }
}

/// Says what was being done when a system call failed.
pub(crate) trait Context<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::io(what(), e))
    }
}
