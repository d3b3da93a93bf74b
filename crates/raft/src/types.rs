//! What the managers agree on.

use std::io::Cursor;
use std::sync::Arc;

use openraft::BasicNode;
use serde::{Deserialize, Serialize};
use swarm_api::Change;

/// What is proposed, and by whom: the leader of `term`, from tables that had all that was decided before.
/// An entry that came into the log in another term was decided from older tables, and changes nothing
/// anywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Proposal {
    /// The leader's term.
    pub(crate) term: u64,
    /// What.
    pub(crate) body: Body,
}

/// What can be proposed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Changes of the store's tables, all together.
    Changes(Arc<Vec<Change>>),
    /// Nothing: when it is applied, so is all that was in the log before.
    Nothing,
    /// A number for a new manager, which no other one had or will have.
    Member,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is made.
    Made,
    /// The new manager's number.
    Member(u64),
    /// It was of another term.
    Refused,
}

openraft::declare_raft_types!(
    /// The types that `openraft` is used with.
    pub(crate) Types:
        D = Proposal,
        R = Answer,
        NodeId = u64,
        Node = BasicNode,
        SnapshotData = Cursor<Vec<u8>>,
);

pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type Membership = openraft::Membership<u64, BasicNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, BasicNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, BasicNode>;
pub(crate) type StorageError = openraft::StorageError<u64>;
