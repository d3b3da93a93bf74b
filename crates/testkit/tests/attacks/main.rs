//! Attacks on the runtime, numbered as in docs/security.md: each makes the attempt, against the daemon
//! and against `wharf runtime`, and sees it refused. `WHARF_OCI_RUNTIME=runc` aims the second half at
//! Debian's runc, which is older than some of these advisories: what fails there shows that the attempt
//! is a real one.

mod bait;
mod copy;
mod failures;
mod identity;
mod images;
mod paths;
mod program;
mod readback;
mod roots;
mod sockets;
mod volumes;
