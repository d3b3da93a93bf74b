//! Changes to containers' lives.

/// Changes to containers' lives.
pub trait Life: Send + Sync {}
