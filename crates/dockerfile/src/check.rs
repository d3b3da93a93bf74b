//! The checks of `build --check`.

use std::collections::BTreeMap;

use crate::{Dockerfile, Patterns, Span};

/// What a rule found.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// The rule's name.
    pub rule: &'static str,
    /// What the rule is for.
    pub description: &'static str,
    /// Where it is explained.
    pub url: Option<String>,
    /// What was found.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// Runs all rules that the file does not skip.
#[must_use]
pub fn check(
    _file: &Dockerfile,
    _ignore: Option<&Patterns>,
    _build_args: &BTreeMap<String, String>,
) -> Vec<Warning> {
    Vec::new()
}
