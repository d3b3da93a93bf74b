//! Why a request failed.

use std::io;

/// Why a request failed, in docker's words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing listens there.
    #[error("Cannot connect to the {daemon} at {host}. Is the {} running?", daemon.to_lowercase())]
    Unreachable {
        /// As the user named it.
        host: String,
        /// `Docker daemon` or `wharf daemon`.
        daemon: String,
    },
    /// The socket is there, and not for this user.
    #[error(
        "permission denied while trying to connect to the {daemon} socket at {host}: \
         use the group that owns the socket, or root"
    )]
    Permission {
        /// As the user named it.
        host: String,
        /// `Docker daemon` or `wharf daemon`.
        daemon: String,
    },
    /// The daemon said no.
    #[error("Error response from daemon: {message}")]
    Daemon {
        /// HTTP status.
        status: u16,
        /// The daemon's sentence.
        message: String,
    },
    /// The connection broke.
    #[error("error during connect: {what}: {why}")]
    Broken {
        /// Method and path.
        what: String,
        /// What happened.
        why: String,
    },
    /// The daemon's answer makes no sense.
    #[error("{what}: the daemon's answer cannot be read: {why}")]
    Garbled {
        /// Method and path.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// `-H` cannot be used.
    #[error("Failed to initialize: {0}")]
    Host(String),
}

impl Error {
    /// The daemon has no such object.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Daemon { status: 404, .. })
    }

    /// The failed connection to `host`.
    pub(super) fn connect(error: &io::Error, host: String, daemon: String) -> Self {
        let text = error.to_string();
        if error.kind() == io::ErrorKind::PermissionDenied {
            Self::Permission { host, daemon }
        } else if text.contains("failed to lookup address") {
            Self::Broken {
                what: host,
                why: "no such host".to_owned(),
            }
        } else {
            Self::Unreachable { host, daemon }
        }
    }
}
