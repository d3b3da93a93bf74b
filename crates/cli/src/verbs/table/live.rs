//! What containers do and take.

use super::super::{Args, Verb, stats};

/// The verbs.
pub(super) const VERBS: &[Verb] = &[Verb {
    names: &["container stats", "stats"],
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Display a live stream of container(s) resource usage statistics",
    flags: &[stats::FLAGS],
    args: Args::AtLeast(0),
    mixed: true,
    run: |c, m| Box::pin(stats::stats(c, m)),
}];
