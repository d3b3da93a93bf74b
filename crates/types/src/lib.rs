//! Values that every layer of wharf speaks of: Docker's API objects, image references,
//! identifiers and error kinds. Nothing here does I/O.

pub mod boolean;
pub mod build;
pub mod container;
pub mod error;
pub mod event;
pub mod exec;
pub mod firewall;
pub mod gc;
pub mod id;
pub mod image;
pub mod json;
pub mod names;
pub mod network;
pub mod options;
pub mod reference;
pub mod registry;
pub mod signal;
pub mod size;
pub mod stats;
pub mod swarm;
pub mod sysctl;
pub mod system;
pub mod usage;
pub mod version;
pub mod volume;

pub use error::{ErrorKind, Failure};
