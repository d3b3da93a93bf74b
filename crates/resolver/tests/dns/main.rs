//! The name server as a process, asked over real sockets in network namespaces of the tests' own. Needs
//! root.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bench;
mod clients;
mod forward;
mod garbage;
mod lab;
mod own;
mod state;
mod tcp;
mod upstream;
