//! What reads bytes of strangers, as targets for a fuzzer: each must end in an answer or an error,
//! never in a panic, a hang or memory without bound, and what it promises must hold for every
//! input that it takes.
//!
//! `tests/replay.rs` runs the kept inputs of `corpus/` and changed ones of them with every test
//! run. `crates/fuzz/run TARGET SECONDS` searches for new ones with libFuzzer.

pub mod corpus;
mod targets;

pub use targets::{TARGETS, Target};
