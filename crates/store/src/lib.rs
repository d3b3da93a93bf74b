//! The managers' store: tables of the cluster's objects, changed by a log.
//!
//! Everything that the managers' loops know is here, and everything they decide is a [`Change`] of it.
//! The store does not know how its log is made safe: it hands changes to a [`Proposer`] and applies them
//! when they are; Raft is one, and tests need none. A manager that does not lead applies what the leader
//! decided ([`Store::apply`]).
//!
//! Loops read [`Tables`] under a lock for reading, without copies, and hear of changes by a [`Watch`] that
//! begins exactly where the tables are that were read first. What two of them decide at once is told apart
//! by versions: a change that was made from an older state is refused.

mod error;
mod proposer;
mod store;
mod tables;
mod watch;

pub use error::{Error, Result};
pub use proposer::{Alone, Proposer};
pub use store::{Store, View};
pub use tables::Tables;
pub use watch::{Event, Heard, Watch};
