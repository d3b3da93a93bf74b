//! Changes to containers' lives.

use super::super::{Args, Verb, life, options, prune, top, update};

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        names: &["container pause", "pause"],
        usage: "CONTAINER [CONTAINER...]",
        about: "Pause all processes within one or more containers",
        flags: &[],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(life::pause(c, m)),
    },
    Verb {
        names: &["container unpause", "unpause"],
        usage: "CONTAINER [CONTAINER...]",
        about: "Unpause all processes within one or more containers",
        flags: &[],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(life::unpause(c, m)),
    },
    Verb {
        names: &["container rename", "rename"],
        usage: "CONTAINER NEW_NAME",
        about: "Rename a container",
        flags: &[],
        args: Args::Exactly(2),
        mixed: true,
        run: |c, m| Box::pin(life::rename(c, m)),
    },
    Verb {
        names: &["container update", "update"],
        usage: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Update configuration of one or more containers",
        flags: &[options::LIMITS, update::FLAGS],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(update::update(c, m)),
    },
    Verb {
        names: &["container top", "top"],
        usage: "CONTAINER [ps OPTIONS]",
        about: "Display the running processes of a container",
        flags: &[],
        args: Args::AtLeast(1),
        mixed: false,
        run: |c, m| Box::pin(top::top(c, m)),
    },
    Verb {
        names: &["container prune"],
        usage: "[OPTIONS]",
        about: "Remove all stopped containers",
        flags: &[prune::FLAGS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(prune::containers(c, m)),
    },
];
