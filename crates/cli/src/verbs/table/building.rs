//! Building images, and the cache that is kept of it.

use super::super::{Args, Verb, build, builder};

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        names: &["image build", "build", "builder build", "buildx build"],
        usage: "[OPTIONS] PATH | URL | -",
        about: "Build an image from a Dockerfile",
        flags: &[build::FLAGS, build::REFUSED],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(build::build(c, m)),
    },
    Verb {
        names: &["builder ls", "buildx ls"],
        usage: "",
        about: "List builders: there is one, the daemon itself",
        flags: &[builder::LS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(builder::ls(c, m)),
    },
    Verb {
        names: &["builder inspect", "buildx inspect"],
        usage: "[NAME]",
        about: "Inspect the builder",
        flags: &[builder::INSPECT, builder::WHICH],
        args: Args::AtMost(1),
        mixed: true,
        run: |c, m| Box::pin(builder::inspect(c, m)),
    },
    Verb {
        names: &["builder prune", "buildx prune"],
        usage: "[OPTIONS]",
        about: "Remove build cache",
        flags: &[builder::PRUNE, builder::WHICH],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(builder::prune(c, m)),
    },
    Verb {
        names: &["builder du", "buildx du"],
        usage: "[OPTIONS]",
        about: "Show what the build cache holds",
        flags: &[builder::DU, builder::WHICH],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(builder::du(c, m)),
    },
    Verb {
        names: &["buildx version"],
        usage: "",
        about: "Show the builder's version",
        flags: &[],
        args: Args::None,
        mixed: true,
        run: |_, _| Box::pin(async { builder::version() }),
    },
];
