//! The program (`examples/cli.rs`) as a black box. `cargo nextest run -p cli` builds it; with
//! `--test cli` alone, build it before by `cargo build -p cli --example cli`.
#![expect(clippy::unwrap_used, reason = "a test")]

mod build;
mod builder;
mod contexts;
mod fake;
mod terminal;
mod verbs;
