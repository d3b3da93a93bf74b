//! Our own OCI runtime: from a bundle to a process behind walls, and whatever is done to it later.
//!
//! It is used by two programs, neither of which has threads: the shim, which forks a helper for each
//! start and exec, and `wharf-oci`, which is what `wharf runtime …` becomes. What can be read, checked
//! or opened is read, checked and opened before the clone; inside there is only the kernel.
//!
//! Follows the OCI runtime specification 1.2.

pub mod cgroup;
pub mod cli;
pub mod config;
pub mod console;
pub mod error;
pub mod exec;
mod filter;
pub mod hooks;
pub mod mounts;
pub mod process;
pub mod procfs;
pub mod seccomp;
pub mod start;
pub mod state;

pub use config::Config;
pub use error::{Context, Error, Result};
