//! Files in containers and what is made of them.

use super::super::{Args, Verb, commit, cp, save};

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        names: &["container cp", "cp"],
        usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        about: "Copy files/folders between a container and the local filesystem",
        flags: &[cp::FLAGS],
        args: Args::Exactly(2),
        mixed: true,
        run: |c, m| Box::pin(cp::cp(c, m)),
    },
    Verb {
        names: &["container export", "export"],
        usage: "[OPTIONS] CONTAINER",
        about: "Export a container's filesystem as a tar archive",
        flags: &[save::EXPORT],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(save::export(c, m)),
    },
    Verb {
        names: &["container diff", "diff"],
        usage: "CONTAINER",
        about: "Inspect changes to files or directories on a container's filesystem",
        flags: &[],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(commit::diff(c, m)),
    },
    Verb {
        names: &["container commit", "commit"],
        usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
        about: "Create a new image from a container's changes",
        flags: &[commit::FLAGS],
        args: Args::Between(1, 2),
        mixed: true,
        run: |c, m| Box::pin(commit::commit(c, m)),
    },
];
