//! `wharf runtime`: this process becomes the OCI runtime.
//!
//! The runtime is a small static program of its own, run from a sealed memory file. A container that
//! got hold of `/proc/<pid>/exe` of its runtime could otherwise overwrite `wharf` itself
//! (CVE-2019-5736); and a small program starts sooner.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use sys::memfd::Program;

use crate::embedded;

/// What it is called, and by which name a link to `wharf` is it.
pub(crate) const NAME: &str = "wharf-runtime";

/// Becomes the runtime; returns only when that does not work.
pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    let error = match Program::new(NAME, embedded::OCI) {
        Ok(program) => Command::new(program.path()).arg0(NAME).args(args).exec(),
        Err(error) => error,
    };
    eprintln!("{NAME}: cannot start from memory: {error}");
    ExitCode::FAILURE
}
