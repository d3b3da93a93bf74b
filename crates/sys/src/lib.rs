//! What the kernel offers, made safe: the only crate with `unsafe`.
//!
//! Without the feature `full` only what the programs beside a container need is built.

pub mod cgroup;
pub mod failpoint;
pub mod memfd;
#[cfg(feature = "full")]
pub mod memory;
#[cfg(feature = "full")]
pub mod namespace;
#[cfg(feature = "full")]
pub mod netlink;
#[cfg(feature = "full")]
pub mod netns;
#[cfg(feature = "full")]
pub mod nft;
#[cfg(feature = "full")]
pub mod overlay;
pub mod process;
pub mod scm;
#[cfg(feature = "full")]
pub mod watch;
