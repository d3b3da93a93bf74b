//! Starting containers on the kernel of this machine, as root.
#![allow(clippy::unwrap_used)]

mod exec;
mod gate;
mod hooks;
mod namespaces;
mod process;
mod run;
mod support;
