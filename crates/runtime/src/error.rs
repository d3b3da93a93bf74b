//! What can go wrong here.

use std::{io, path::PathBuf};

use types::ErrorKind;

use crate::protocol::{ErrorReason, FrameError, VERSION};

/// What can go wrong between daemon and shim, and in describing a container.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The shim could not be started.
    #[error("cannot start the shim of container {id}: {source}")]
    Spawn {
        /// The container.
        id: String,
        /// Why.
        source: io::Error,
    },
    /// The shim's socket cannot be reached: it has ended, or was killed.
    #[error("cannot reach the shim at {}: {source}", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection to the shim broke.
    #[error("the connection to the shim broke: {0}")]
    Io(#[from] io::Error),
    /// The shim closed the connection in place of an answer.
    #[error("the shim ended in place of an answer")]
    Gone,
    /// The shim sent something that cannot be understood.
    #[error("the shim sent what cannot be understood: {0}")]
    Frame(#[from] FrameError),
    /// The shim speaks another version.
    #[error("the shim speaks version {theirs} of the protocol, this daemon version {VERSION}")]
    Version {
        /// What it speaks.
        theirs: u32,
    },
    /// The shim refused.
    #[error("{message}")]
    Refused {
        /// What kind of refusal.
        reason: ErrorReason,
        /// Its words.
        message: String,
    },
    /// An answer to another question.
    #[error("the shim's answer does not fit the request: {0}")]
    Unexpected(String),
    /// Something of a container that is gone cannot be removed.
    #[error("cannot clean up after container {id}: {reason}")]
    Cleanup {
        /// The container.
        id: String,
        /// What, and why.
        reason: String,
    },
    /// The container's configuration is wrong; the sentence is for the user.
    #[error("{0}")]
    Invalid(String),
    /// A file in the container's image that should tell of users cannot be trusted or read.
    #[error("{0}")]
    Image(String),
}

impl Error {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::Image(_) => ErrorKind::InvalidParameter,
            Self::Refused { reason, .. } => match reason {
                ErrorReason::State => ErrorKind::Conflict,
                ErrorReason::NotFound => ErrorKind::NotFound,
                ErrorReason::Version | ErrorReason::Message | ErrorReason::System => {
                    ErrorKind::System
                }
            },
            Self::Connect { .. } | Self::Gone => ErrorKind::Unavailable,
            _ => ErrorKind::System,
        }
    }
}
