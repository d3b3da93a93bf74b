//! What managers and agents of a cluster speak about: the objects in the managers' store, and how they
//! are told apart. Nothing here does I/O.
//!
//! The wishes of users (`…Spec`) are those of Docker's API, in `types::swarm`; what is kept of an object
//! beside its wish is here. Wishes are behind `Arc`: all tasks of a service share one.

pub mod change;
pub mod id;
pub mod object;
pub mod session;

pub use change::{Change, Key, Kind, Object};
pub use id::Id;
pub use object::*;
