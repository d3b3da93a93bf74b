//! Networks, to read.

/// Networks, to read.
pub trait Networks: Send + Sync {}
