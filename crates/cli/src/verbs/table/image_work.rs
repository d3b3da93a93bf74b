//! Longer work on images, and registries.

use super::super::Verb;

/// The verbs.
pub(super) const VERBS: &[Verb] = &[];
