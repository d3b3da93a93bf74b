//! What the kernel offers, made safe: the only crate with `unsafe`.
//!
//! Without the feature `full` only what the programs beside a container need is built.

#[cfg(feature = "full")]
pub mod activation;
pub mod attributes;
pub mod bpf;
pub mod cgroup;
pub mod clone;
pub mod exec;
pub mod failpoint;
pub mod fds;
pub mod memfd;
pub mod memory;
pub mod mount;
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
pub mod pidfd;
pub mod pktinfo;
pub mod placeholder;
pub mod process;
pub mod scm;
pub mod seccomp;
#[cfg(feature = "full")]
pub mod tree;
pub mod watch;
