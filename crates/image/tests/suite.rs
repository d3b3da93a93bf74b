//! Everything about images and registries, in one program.
#![allow(clippy::unwrap_used, reason = "test code")]

mod attacks;
mod busy;
mod common;
mod crash;
mod lies;
mod mirrors;
mod pull;
mod push;
mod redirects;
mod reference;
mod registry;
mod remote;
mod services;
mod store;
mod unpack;
