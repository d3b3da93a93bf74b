//! What containers do and take.

/// What containers do and take.
pub trait Live: Send + Sync {}
