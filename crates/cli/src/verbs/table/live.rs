//! What containers do and take.

use super::super::Verb;

/// The verbs.
pub(super) const VERBS: &[Verb] = &[];
