//! Files in containers, and what is made of them.

/// Files in containers, and what is made of them.
pub trait Files: Send + Sync {}
