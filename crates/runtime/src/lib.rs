//! Starting and ending containers: the OCI configuration with Docker's security defaults, the
//! shim that stands beside each container and the protocol it speaks, and what is left to clean up
//! when a container is gone.
//!
//! Without the feature `full` only the protocol is built, and with `oci` the runtime itself: the shim
//! needs no more.

pub mod logfile;
#[cfg(feature = "oci")]
pub mod oci;
pub mod protocol;
pub mod time;

#[cfg(feature = "full")]
pub mod apparmor;
#[cfg(feature = "oci")]
pub mod caps;
#[cfg(feature = "full")]
mod cleanup;
#[cfg(feature = "full")]
pub mod client;
#[cfg(feature = "full")]
pub mod controls;
#[cfg(feature = "full")]
pub mod descriptors;
#[cfg(feature = "full")]
mod error;
#[cfg(feature = "full")]
pub mod filters;
#[cfg(feature = "full")]
mod host;
#[cfg(feature = "full")]
pub mod launch;
#[cfg(feature = "full")]
mod seccomp;
#[cfg(feature = "full")]
pub mod spec;
#[cfg(feature = "full")]
pub mod user;

#[cfg(feature = "full")]
pub use cleanup::{Remains, cleanup};
#[cfg(feature = "full")]
pub use error::Error;
#[cfg(feature = "full")]
pub use host::Host;
