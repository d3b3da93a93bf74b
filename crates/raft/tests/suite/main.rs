//! Several managers in one process, each with a disk, over links that can be cut.
#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod cluster;
mod failpoints;
mod force;
mod history;
mod kills;
mod membership;
mod partitions;
mod snapshots;
mod words;
