//! The real static shim with the real runc.

// In tests a panic is the message.
#![allow(clippy::unwrap_used)]

mod execs;
mod faults;
mod logs;
mod measure;
mod run;
mod sandbox;
mod stdio;
mod support;
