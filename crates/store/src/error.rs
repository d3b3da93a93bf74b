//! What can be wrong with a change.

use swarm_api::{Key, Kind};
use types::ErrorKind;

/// A change that was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Somebody else changed it since.
    #[error("update out of sequence")]
    OutOfSequence(Key),
    /// It is not there (any more).
    #[error("{} {} not found", .0.kind.word(), .0.id)]
    NotFound(Key),
    /// Another object has the name.
    #[error("rpc error: code = AlreadyExists desc = name conflicts with an existing object: {} {name} already exists", kind.word())]
    NameTaken {
        /// Of both.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// This manager does not lead, and cannot decide.
    #[error("this node is not the leader of the swarm{}", leader.as_deref().map(|l| format!(", {l} is")).unwrap_or_default())]
    NotLeader {
        /// Where the leader is, if one is known.
        leader: Option<String>,
    },
    /// No majority of the managers answers.
    #[error(
        "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online."
    )]
    NoQuorum,
    /// The log cannot be written.
    #[error("the cluster's log: {0}")]
    Log(String),
}

impl Error {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::OutOfSequence(_) => ErrorKind::InvalidParameter,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::NameTaken { .. } => ErrorKind::Conflict,
            Self::NotLeader { .. } | Self::NoQuorum => ErrorKind::Unavailable,
            Self::Log(_) => ErrorKind::System,
        }
    }
}

/// The result of a change.
pub type Result<T> = std::result::Result<T, Error>;
