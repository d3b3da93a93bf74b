//! The daemon.

use super::super::{Args, Verb, df, events, firewall, gc, info, inspect, system_prune, version};

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        names: &["inspect"],
        usage: "[OPTIONS] NAME|ID [NAME|ID...]",
        about: "Show everything about containers and images",
        flags: &[inspect::ANY],
        args: Args::AtLeast(1),
        mixed: true,
        run: |c, m| Box::pin(inspect::any(c, m)),
    },
    Verb {
        names: &["system events", "events"],
        usage: "[OPTIONS]",
        about: "Show what happens, as it happens",
        flags: &[events::FLAGS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(events::events(c, m)),
    },
    Verb {
        names: &["system info", "info"],
        usage: "[OPTIONS]",
        about: "Show the daemon's state and its host",
        flags: &[info::FLAGS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(info::info(c, m)),
    },
    Verb {
        names: &["system df"],
        usage: "[OPTIONS]",
        about: "Show docker disk usage",
        flags: &[df::FLAGS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(df::df(c, m)),
    },
    Verb {
        names: &["system gc"],
        usage: "[OPTIONS]",
        about: "Remove unused images as the daemon's policy says, or show what would go",
        flags: &[gc::FLAGS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(gc::gc(c, m)),
    },
    Verb {
        names: &["system prune"],
        usage: "[OPTIONS]",
        about: "Remove unused data",
        flags: &[system_prune::FLAGS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(system_prune::prune(c, m)),
    },
    Verb {
        names: &["firewall"],
        usage: "[OPTIONS]",
        about: "Show what is open on the host, and why",
        flags: &[firewall::FLAGS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(firewall::firewall(c, m)),
    },
    Verb {
        names: &["version"],
        usage: "[OPTIONS]",
        about: "Show the versions of client and daemon",
        flags: &[version::FLAGS],
        args: Args::None,
        mixed: true,
        run: |c, m| Box::pin(version::version(c, m)),
    },
];
