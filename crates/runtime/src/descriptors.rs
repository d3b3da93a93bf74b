//! The limit of open files: high for the daemon and its shims, as it was for containers.
//!
//! A container with a range of ports has a socket for each of them, and passes them on to its shim. What
//! a login shell gets (1,024) is not enough for that. Programs in containers get the limit that the daemon
//! was started with, unless another one is asked for: some of them count up to it.

use std::sync::OnceLock;

use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More is not needed, and a kernel without `close_range` flags makes each one cost something.
const ENOUGH: u64 = 1 << 16;

/// What it was before it was raised.
static BEFORE: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises this process's own limit as far as is wanted and may be. Once, before anything is started.
///
/// # Errors
/// When the kernel refuses; it stays as it is.
pub fn raise() -> std::io::Result<()> {
    let ours = getrlimit(Resource::Nofile);
    let number = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    let (soft, hard) = (number(ours.current), number(ours.maximum));
    let wanted = hard.min(ENOUGH);
    if soft >= wanted {
        return Ok(());
    }
    let limit = Rlimit {
        current: Some(wanted),
        maximum: ours.maximum,
    };
    setrlimit(Resource::Nofile, limit)?;
    let _ = BEFORE.set((soft, hard));
    Ok(())
}

/// The limit for a container that asks for none, where ours is not it.
pub(crate) fn inherited() -> Option<PosixRlimit> {
    let (soft, hard) = *BEFORE.get()?;
    PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .soft(soft)
        .hard(hard)
        .build()
        .ok()
}
