//! The mount tree against the real kernel: what a container sees, and what an image, or whoever
//! else writes into its files, cannot reach by it.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: whoever sees it wants the line"
)]

mod attacks;
mod harness;
mod property;
mod sees;
