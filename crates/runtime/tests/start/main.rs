//! Starting containers on the kernel of this machine, as root.

mod run;
mod support;
