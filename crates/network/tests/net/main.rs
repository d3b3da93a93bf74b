//! Networks on a real kernel, in namespaces of the tests' own. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod isolation;
mod lab;
mod lifecycle;
mod own;
mod ports;
mod traffic;
