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
        "Name of the context to use; only 'default' is there",
    )
    .short('c'),
    switch("debug", "Tell of every request").short('D'),
    list("host", "Where the daemon listens, unix:// or tcp://").short('H'),
    text(
        "log-level",
        "How much to log: debug, info, warn, error or fatal",
    )
    .short('l')
    .default("\"info\""),
    switch("tls", "Use TLS").only(&["false"]),
    text("tlscacert", "Trust certificates signed by this CA").only(&[]),
    text("tlscert", "Our certificate").only(&[]),
    text("tlskey", "Our key").only(&[]),
    switch("tlsverify", "Use TLS and verify the daemon").only(&["false"]),
    switch("version", "Show the version, and end").short('v'),
];

/// Whether requests are told.
pub(crate) fn debug(m: &Matches) -> bool {
    m.on("debug")
        || matches!(
            m.get("log-level").map(str::to_lowercase).as_deref(),
            Some("debug" | "trace")
        )
}

/// Where the daemon is, by flag, environment or default.
pub(crate) fn host(m: &Matches) -> Result<String, String> {
    let hosts = m.all("host");
    if hosts.len() > 1 {
        return Err("Specify only one -H".to_owned());
    }
    if let Some(host) = hosts.into_iter().next().filter(|h| !h.is_empty()) {
        return Ok(host);
    }
    let from = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    if from("DOCKER_TLS_VERIFY").is_some() || from("DOCKER_TLS").is_some() {
        return Err("TLS (DOCKER_TLS_VERIFY) is not supported by wharf yet".to_owned());
    }
    Ok(from("WHARF_HOST")
        .or_else(|| from("DOCKER_HOST"))
        .unwrap_or_else(|| crate::client::DEFAULT_HOST.to_owned()))
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
    let context = m
        .get("context")
        .map(str::to_owned)
        .or_else(|| {
            std::env::var("DOCKER_CONTEXT")
                .ok()
                .filter(|_| m.get("host").is_none())
        })
        .filter(|c| !c.is_empty() && c != "default")?;
    Some(format!(
        "Failed to initialize: unable to resolve docker endpoint: context {}: context not found: \
         wharf has only the context \"default\"",
        crate::format::quote(&context)
    ))
}
