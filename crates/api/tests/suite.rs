//! The whole API with a backend that answers by heart, in one program.
#![allow(clippy::unwrap_used, reason = "test code")]

mod authorization;
mod common;
mod create;
mod docker_cli;
mod networks;
mod routes;
mod streams;
