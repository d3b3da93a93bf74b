//! The kernel's interfaces, made safe; the one crate with `unsafe` in it.

pub mod netlink;
pub mod netns;
pub mod nft;
