//! The flags that say how a container's health is checked.

use types::container::HealthConfig;

use crate::{
    error::{Error, Result},
    flags::{Flag, Matches, int, switch, text},
    format::{quote, time},
};

/// The flags.
pub(crate) const FLAGS: &[Flag] = &[
    text("health-cmd", "Command to run to check health"),
    text(
        "health-interval",
        "Time between running the check (ms|s|m|h) (default 0s)",
    )
    .value("duration", duration),
    int(
        "health-retries",
        "Consecutive failures needed to report unhealthy",
    ),
    text(
        "health-start-interval",
        "Time between running the check during the start period (ms|s|m|h) (default 0s)",
    )
    .value("duration", duration),
    text(
        "health-start-period",
        "Start period for the container to initialize before starting health-retries countdown \
         (ms|s|m|h) (default 0s)",
    )
    .value("duration", duration),
    text(
        "health-timeout",
        "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
    )
    .value("duration", duration),
    switch(
        "no-healthcheck",
        "Disable any container-specified HEALTHCHECK",
    ),
];

/// A Go duration, with Go's complaint.
fn duration(value: &str) -> std::result::Result<(), String> {
    match nanos(value) {
        Some(_) => Ok(()),
        None => Err(format!("time: invalid duration {}", quote(value))),
    }
}

fn nanos(value: &str) -> Option<i64> {
    time::duration(value).and_then(|n| i64::try_from(n).ok())
}

/// The health check that `m` describes, if any.
pub(crate) fn check(m: &Matches) -> Result<Option<HealthConfig>> {
    let time = |name: &str| m.get(name).and_then(nanos).unwrap_or(0);
    let health = HealthConfig {
        test: match m.get("health-cmd") {
            Some("") | None => Vec::new(),
            Some(command) => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        interval: time("health-interval"),
        timeout: time("health-timeout"),
        start_period: time("health-start-period"),
        start_interval: time("health-start-interval"),
        retries: m.int("health-retries").unwrap_or(0),
    };
    let given = health != HealthConfig::default();
    if m.on("no-healthcheck") {
        if given {
            return Err(Error::msg(
                "--no-healthcheck conflicts with --health-* options",
            ));
        }
        return Ok(Some(HealthConfig {
            test: vec!["NONE".to_owned()],
            ..HealthConfig::default()
        }));
    }
    for (name, value) in [
        ("interval", health.interval),
        ("timeout", health.timeout),
        ("retries", health.retries),
        ("start-period", health.start_period),
        ("start-interval", health.start_interval),
    ] {
        if value < 0 {
            return Err(Error::msg(format!("--health-{name} cannot be negative")));
        }
    }
    Ok(given.then_some(health))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn read(line: &str) -> std::result::Result<Option<HealthConfig>, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let m = parse(&[FLAGS], true, &words)?;
        check(&m).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_given_is_sent() {
        let health = read("--health-cmd true --health-interval 1m30s --health-retries 2");
        let health = health.unwrap().unwrap();
        assert_eq!(health.test, ["CMD-SHELL", "true"]);
        assert_eq!((health.interval, health.retries), (90_000_000_000, 2));
        assert_eq!(read("--health-retries 0"), Ok(None));
        assert_eq!(read("--no-healthcheck").unwrap().unwrap().test, ["NONE"]);
    }

    #[test]
    fn complaints_are_dockers() {
        assert_eq!(
            read("--no-healthcheck --health-retries 1").unwrap_err(),
            "--no-healthcheck conflicts with --health-* options"
        );
        assert_eq!(
            read("--health-timeout -1s").unwrap_err(),
            "--health-timeout cannot be negative"
        );
        assert!(
            read("--health-timeout soon")
                .unwrap_err()
                .contains("time: invalid duration \"soon\"")
        );
    }
}
