//! Longer work on images, and registries.

/// Longer work on images, and registries.
pub trait ImageWork: Send + Sync {}
