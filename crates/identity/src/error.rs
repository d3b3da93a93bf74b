//! What can be wrong with an identity.

/// Something that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no token at all.
    #[error("invalid join token")]
    BadToken,
    /// A token of this cluster's form, with a secret that is not the present one.
    #[error(
        "a valid join token is necessary to join this cluster; see `swarm join-token` on a manager"
    )]
    WrongToken,
    /// The root that a manager showed is not the one that the token names.
    #[error(
        "remote CA does not match fingerprint. Expected: {expected}: the address is not that of a manager of the cluster that the token is from"
    )]
    OtherRoot {
        /// The digest in the token.
        expected: String,
    },
    /// A certificate that cannot be read.
    #[error("a node's certificate cannot be read: {0}")]
    BadCertificate(String),
    /// A certificate of another cluster's.
    #[error("the certificate of node {node} is of the cluster {found}, and this one is {expected}")]
    OtherCluster {
        /// The node.
        node: String,
        /// Its cluster.
        found: String,
        /// Ours.
        expected: String,
    },
    /// A key, a request or a root that cannot be used.
    #[error("the cluster's certificates: {0}")]
    Crypto(String),
}

/// The result of looking at an identity.
pub type Result<T> = std::result::Result<T, Error>;

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}
