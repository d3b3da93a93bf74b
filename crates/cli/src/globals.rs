//! Flags that stand before the verb.

use crate::flags::{Flag, Matches, list, switch, text};

/// The flags.
pub(crate) const FLAGS: &[Flag] = &[
    text(
        "config",
        "Directory of the client's configuration (~/.docker unless given)",
    ),
    text(
        "context",
        "Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and default context set with \"docker context use\")",
    )
    .short('c'),
    switch("debug", "Enable debug mode").short('D'),
    list("host", "Daemon socket to connect to").short('H'),
    text(
        "log-level",
        "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")",
    )
    .short('l')
    .default("\"info\""),
    switch("tls", "Use TLS; implied by --tlsverify"),
    text("tlscacert", "Trust certs signed only by this CA"),
    text("tlscert", "Path to TLS certificate file"),
    text("tlskey", "Path to TLS key file"),
    switch("tlsverify", "Use TLS and verify the remote"),
    switch("version", "Print version information and quit").short('v'),
];

/// Whether requests are told.
pub(crate) fn debug(m: &Matches) -> bool {
    m.on("debug")
        || matches!(
            m.get("log-level").map(str::to_lowercase).as_deref(),
            Some("debug" | "trace")
        )
}

/// What is wrong with the flags' values, if anything.
pub(crate) fn complaint(m: &Matches) -> Option<String> {
    if let Some(level) = m.get("log-level")
        && !matches!(
            level.to_lowercase().as_str(),
            "trace" | "debug" | "info" | "warn" | "warning" | "error" | "fatal" | "panic"
        )
    {
        return Some(format!("Unable to parse logging level: {level}"));
    }
    None
}
