//! Linux as wharf needs it: every system call that rustix does not wrap, and all `unsafe`.

pub mod memory;
pub mod overlay;
