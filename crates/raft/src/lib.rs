//! The managers' replicated log, behind [`store::Proposer`].
//!
//! Managers agree on each change of the store by Raft (`openraft`); what is agreed on is on the disks of a
//! majority before anybody is told of it. This crate is what Raft stands on and what stands on Raft:
//!
//! - [`disk`]: log, vote and snapshots in a folder, sealed, and what a start makes of what a crash left;
//! - the state machine, which applies entries to [`store::Store`], and makes and takes snapshots of it;
//! - [`Transport`]: messages between managers go over what is given, so that certificates are elsewhere
//!   and tests can cut links;
//! - [`Node`]: one manager's log, running: proposals, reads that are not stale, changes of the managers.
//!
//! docs/cluster-log.md has the formats, the rules of recovery and figures.

pub mod disk;

mod codec;
mod error;
mod image;
mod logstore;
mod machine;
mod members;
mod message;
mod network;
mod node;
mod proposer;
mod quorum;
mod share;
mod types;

pub use disk::{Disk, UnlockKey};
pub use error::{Error, Result};
pub use members::Member;
pub use network::{Peer, Transport};
pub use node::{Node, Settings, Status};
pub use proposer::RaftProposer;
