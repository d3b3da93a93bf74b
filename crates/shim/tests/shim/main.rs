//! The real static shim with the real runc.

mod run;
mod support;
