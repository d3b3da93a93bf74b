//! The kernel's interfaces, made safe; the one crate with `unsafe` in it.

pub mod netlink;
pub mod netns;
pub mod nft;
//! What the kernel offers, made safe: the only crate with `unsafe`.
//!
//! Without the feature `full` only what the programs beside a container need is built.

pub mod cgroup;
pub mod failpoint;
pub mod memfd;
pub mod process;
pub mod scm;
