//! Networks.

use super::super::{Args, Verb, inspect, network, prune};

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        names: &["network connect"],
        usage: "[OPTIONS] NETWORK CONTAINER",
        about: "Connect a container to a network",
        flags: &[network::CONNECT],
        args: Args::Exactly(2),
        mixed: true,
        run: |c, m| Box::pin(network::connect(c, m)),
    },
    Verb {
        names: &["network create"],
        usage: "[OPTIONS] NETWORK",
        about: "Create a network",
        flags: &[network::CREATE],
        args: Args::Exactly(1),
        mixed: true,
        run: |c, m| Box::pin(network::create(c, m)),
    },
    Verb {
        names: &["network disconnect"],
        usage: "[OPTIONS] NETWORK CONTAINER",
        about: "Disconnect a container from a network",
        flags: &[network::DISCONNECT],
        args: Args::Exactly(2),
        mixed: true,
        run: |c, m| Box::pin(network::disconnect(c, m)),
    },
    Verb {
        names: &["network inspect"],
        usage: "[OPTIONS] NETWORK [NETWORK...]",
        about: "Display detailed information on one or more networks",
        flags: &[inspect::NETWORK],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(inspect::networks(c, m)),
    },
    Verb {
        names: &["network ls", "network list"],
        usage: "[OPTIONS]",
        about: "List networks",
        flags: &[network::LS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(network::ls(c, m)),
    },
    Verb {
        names: &["network prune"],
        usage: "[OPTIONS]",
        about: "Remove all unused networks",
        flags: &[prune::FLAGS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(network::prune(c, m)),
    },
    Verb {
        names: &["network rm", "network remove"],
        usage: "NETWORK [NETWORK...]",
        about: "Remove one or more networks",
        flags: &[network::RM],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(network::rm(c, m)),
    },
];
