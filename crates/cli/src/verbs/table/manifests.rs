//! Lists of manifests, and what is in registries.

use super::super::{Args, Verb, manifest, registry};

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        names: &["manifest create"],
        usage: "MANIFEST_LIST MANIFEST [MANIFEST...]",
        about: "Create a local manifest list for annotating and pushing to a registry",
        flags: &[manifest::CREATE],
        args: Args::AtLeast(2),
        mixed: true,
        run: |c, m| Box::pin(manifest::create(c, m)),
    },
    Verb {
        names: &["manifest annotate"],
        usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
        about: "Add additional information to a local image manifest",
        flags: &[manifest::ANNOTATE],
        args: Args::Exactly(2),
        mixed: true,
        run: |c, m| Box::pin(manifest::annotate(c, m)),
    },
    Verb {
        names: &["manifest inspect"],
        usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
        about: "Display an image manifest, or manifest list",
        flags: &[manifest::INSPECT],
        args: Args::Between(1, 2),
        mixed: true,
        run: |c, m| Box::pin(manifest::inspect(c, m)),
    },
    Verb {
        names: &["manifest push"],
        usage: "[OPTIONS] MANIFEST_LIST",
        about: "Push a manifest list to a repository",
        flags: &[manifest::PUSH],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(manifest::push(c, m)),
    },
    Verb {
        names: &["manifest rm"],
        usage: "MANIFEST_LIST [MANIFEST_LIST...]",
        about: "Delete one or more manifest lists from local storage",
        flags: &[],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(manifest::rm(c, m)),
    },
    Verb {
        names: &["registry inspect"],
        usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
        about: "Show what a name stands for in its registry",
        flags: &[registry::INSPECT],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(registry::inspect(c, m)),
    },
    Verb {
        names: &["registry tags"],
        usage: "[OPTIONS] NAME",
        about: "List the tags of a repository in its registry",
        flags: &[registry::TAGS],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(registry::tags(c, m)),
    },
    Verb {
        names: &["registry rm"],
        usage: "[OPTIONS] NAME:TAG|NAME@DIGEST...",
        about: "Remove tags and manifests from their registries",
        flags: &[registry::RM],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(registry::rm(c, m)),
    },
];
