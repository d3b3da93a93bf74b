//! Changes to containers' lives.

use super::super::Verb;

/// The verbs.
pub(super) const VERBS: &[Verb] = &[];
