//! Files in containers and what is made of them.

use super::super::Verb;

/// The verbs.
pub(super) const VERBS: &[Verb] = &[];
