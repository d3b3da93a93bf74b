//! Longer work on images.

use super::super::{Args, Verb, history, login, prune, push, save, search};

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        names: &["image history", "history"],
        usage: "[OPTIONS] IMAGE",
        about: "Show the history of an image",
        flags: &[history::FLAGS],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(history::history(c, m)),
    },
    Verb {
        names: &["image save", "save"],
        usage: "[OPTIONS] IMAGE [IMAGE...]",
        about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
        flags: &[save::SAVE],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(save::save(c, m)),
    },
    Verb {
        names: &["image push", "push"],
        usage: "[OPTIONS] NAME[:TAG]",
        about: "Upload an image to a registry",
        flags: &[push::FLAGS],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(push::push(c, m)),
    },
    Verb {
        names: &["image prune"],
        usage: "[OPTIONS]",
        about: "Remove unused images",
        flags: &[prune::FLAGS, prune::IMAGES],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(prune::images(c, m)),
    },
    Verb {
        names: &["search"],
        usage: "[OPTIONS] TERM",
        about: "Search Docker Hub for images",
        flags: &[search::FLAGS],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(search::search(c, m)),
    },
    Verb {
        names: &["login"],
        usage: "[OPTIONS] [SERVER]",
        about: "Authenticate to a registry",
        flags: &[login::FLAGS],
        args: Args::AtMost(1),
        mixed: true,
        run: |c, m| Box::pin(login::login(c, m)),
    },
    Verb {
        names: &["logout"],
        usage: "[SERVER]",
        about: "Log out from a registry",
        flags: &[],
        args: Args::AtMost(1),
        mixed: true,
        run: |c, m| Box::pin(login::logout(c, m)),
    },
];
