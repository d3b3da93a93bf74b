//! `wharf runtime` as an OCI runtime: each command by itself, and under Podman and containerd.
//!
//! `RUNTIME=runc` runs the same against runc, to see whether what is expected is what runc does.

mod commands;
mod crash;
mod engines;
mod exec;
mod hooks;
mod rootless;
mod support;
mod terminal;
