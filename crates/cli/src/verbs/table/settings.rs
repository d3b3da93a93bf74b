//! The user's settings: contexts, completion.

use super::super::Verb;

/// The verbs.
pub(super) const VERBS: &[Verb] = &[];
