//! The real static shim with the real runc.

mod execs;
mod faults;
mod logs;
mod run;
mod sandbox;
mod stdio;
mod support;
