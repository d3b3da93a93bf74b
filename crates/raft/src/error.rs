//! What can be wrong with the log and who has it.

use std::path::{Path, PathBuf};

use types::ErrorKind;

/// A log that cannot be used, or a change of its members that was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is on disk is not what was written there.
    #[error(
        "{}: damaged at byte {offset}: {what}; nothing was changed. If other managers are up, remove this \
         node from the swarm and let it join again; else restore the newest backup", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What does not fit.
        what: String,
    },
    /// A newer version wrote it.
    #[error("{}: written by a newer version of wharf (format {version}); start that one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u16,
    },
    /// The data key is sealed, and no key came with the call.
    #[error(
        "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to unlock it."
    )]
    Locked,
    /// The data key is sealed by another key.
    #[error("invalid key: the disk is locked with another one")]
    WrongKey,
    /// No unlock key at all.
    #[error("invalid key: an unlock key is SWMKEY-1- and 43 digits of base64")]
    NoKey,
    /// An earlier write did not succeed: what is on disk is not known any more until it is read again.
    #[error("the log is closed after a failure: {0}; start the manager again")]
    Failed(String),
    /// The folder is another manager's.
    #[error("{}: this is the log of manager {there}, not of {wanted}", path.display())]
    Identity {
        /// The folder.
        path: PathBuf,
        /// Who wrote it.
        there: u64,
        /// Who wants it.
        wanted: u64,
    },
    /// There is nothing to make a new cluster from.
    #[error("{}: there is no cluster's state to begin again from", .0.display())]
    Empty(PathBuf),
    /// A change of the managers that would stop the cluster.
    #[error(
        "rpc error: code = FailedPrecondition desc = raft: member cannot be removed, because removing it may result in loss of quorum: {reachable} of the {left} managers that would be left can be reached, {needed} are needed"
    )]
    LosesQuorum {
        /// How many would answer.
        reachable: usize,
        /// Of how many.
        left: usize,
        /// How many must.
        needed: usize,
    },
    /// The only one.
    #[error(
        "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm"
    )]
    LastManager,
    /// There is no such manager.
    #[error("rpc error: code = NotFound desc = raft: member {0:x} unknown")]
    Unknown(u64),
    /// It does not answer, and would count in the quorum.
    #[error(
        "rpc error: code = Unavailable desc = manager {id:x} at {addr} did not catch up in time; it is not a manager"
    )]
    Behind {
        /// Which.
        id: u64,
        /// Where it should be.
        addr: String,
    },
    /// Another change of the managers is on its way.
    #[error(
        "rpc error: code = FailedPrecondition desc = raft: another change of the managers is being made; try again"
    )]
    Changing,
    /// The new leader did not make the change.
    #[error("{0}")]
    Refused(String),
    /// What a proposal can meet.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::Failed(_)
            | Self::Identity { .. }
            | Self::Empty(_) => ErrorKind::System,
            Self::Locked | Self::Behind { .. } => ErrorKind::Unavailable,
            Self::WrongKey | Self::NoKey => ErrorKind::InvalidParameter,
            Self::LosesQuorum { .. } | Self::LastManager | Self::Changing | Self::Refused(_) => {
                ErrorKind::InvalidParameter
            }
            Self::Unknown(_) => ErrorKind::NotFound,
            Self::Store(error) => error.kind(),
        }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            offset,
            what: what.into(),
        }
    }
}

/// Puts the file's name to an error of the system.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
    }
}

/// The result of what this crate does.
pub type Result<T> = std::result::Result<T, Error>;
