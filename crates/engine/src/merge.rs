//! A container's configuration from what the user asks and what the image brings.

use types::container::{ContainerConfig, HealthConfig};

/// The `PATH` where neither the image nor the user has one.
pub(crate) const DEFAULT_PATH: &str =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Fills in `user` from `image`, by Docker's rules.
pub(crate) fn merge(user: &mut ContainerConfig, image: &ContainerConfig) {
    if user.user.is_empty() {
        user.user.clone_from(&image.user);
    }
    for (port, empty) in &image.exposed_ports {
        user.exposed_ports.entry(port.clone()).or_insert(*empty);
    }
    for (path, empty) in &image.volumes {
        user.volumes.entry(path.clone()).or_insert(*empty);
    }
    for (label, value) in &image.labels {
        user.labels
            .entry(label.clone())
            .or_insert_with(|| value.clone());
    }
    let missing: Vec<String> = image
        .env
        .iter()
        .filter(|theirs| !user.env.iter().any(|ours| key(ours) == key(theirs)))
        .cloned()
        .collect();
    user.env.extend(missing);
    // An entrypoint of the user's own takes the image's arguments away too.
    if user.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if user.cmd.as_ref().is_none_or(Vec::is_empty) {
            user.cmd.clone_from(&image.cmd);
        }
        if user.entrypoint.is_none() {
            user.entrypoint.clone_from(&image.entrypoint);
        }
    }
    if user
        .entrypoint
        .as_ref()
        .is_some_and(|e| e.len() == 1 && e[0].is_empty())
    {
        user.entrypoint = None;
    }
    if user.working_dir.is_empty() {
        user.working_dir.clone_from(&image.working_dir);
    }
    if user.stop_signal.is_empty() {
        user.stop_signal.clone_from(&image.stop_signal);
    }
    if user.shell.is_empty() {
        user.shell.clone_from(&image.shell);
    }
    match (&mut user.healthcheck, &image.healthcheck) {
        (Some(ours), Some(theirs)) => fill_health(ours, theirs),
        (ours @ None, theirs) => ours.clone_from(theirs),
        (Some(_), None) => {}
    }
}

/// What the user's health check leaves open is the image's.
fn fill_health(ours: &mut HealthConfig, theirs: &HealthConfig) {
    if ours.test.is_empty() {
        ours.test.clone_from(&theirs.test);
    }
    for (own, image) in [
        (&mut ours.interval, theirs.interval),
        (&mut ours.timeout, theirs.timeout),
        (&mut ours.start_period, theirs.start_period),
        (&mut ours.start_interval, theirs.start_interval),
        (&mut ours.retries, theirs.retries),
    ] {
        if *own == 0 {
            *own = image;
        }
    }
}

/// The environment of a process: defaults, then the container's, then `further`; the last one
/// of a name wins, and a name without `=` is taken out.
pub(crate) fn environment(
    config: &ContainerConfig,
    hostname: &str,
    tty: bool,
    further: &[String],
) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if tty {
        env.push("TERM=xterm".into());
    }
    for pair in config.env.iter().chain(further) {
        let place = env.iter().position(|have| key(have) == key(pair));
        match (place, pair.contains('=')) {
            (Some(place), true) => env[place].clone_from(pair),
            (None, true) => env.push(pair.clone()),
            (Some(place), false) => _ = env.remove(place),
            (None, false) => {}
        }
    }
    env
}

/// Adds those variables that are not there.
pub(crate) fn add(env: &mut Vec<String>, further: Vec<String>) {
    for pair in further {
        if !env.iter().any(|have| key(have) == key(&pair)) {
            env.push(pair);
        }
    }
}

fn key(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Option<Vec<String>> {
        Some(items.iter().map(|s| (*s).to_owned()).collect())
    }

    #[test]
    fn commands_merge_as_in_docker() {
        let image = ContainerConfig {
            entrypoint: list(&["e"]),
            cmd: list(&["c"]),
            ..ContainerConfig::default()
        };
        let cases = [
            (None, None, list(&["e"]), list(&["c"])),
            (None, list(&["x"]), list(&["e"]), list(&["x"])),
            (list(&["f"]), None, list(&["f"]), None),
            (list(&["f"]), list(&["x"]), list(&["f"]), list(&["x"])),
            (list(&[""]), list(&["x"]), None, list(&["x"])),
        ];
        for (entrypoint, cmd, wanted_entrypoint, wanted_cmd) in cases {
            let mut user = ContainerConfig {
                entrypoint,
                cmd,
                ..ContainerConfig::default()
            };
            merge(&mut user, &image);
            assert_eq!((user.entrypoint, user.cmd), (wanted_entrypoint, wanted_cmd));
        }
    }

    #[test]
    fn health_checks_merge_as_in_docker() {
        let check = |test: &[&str], interval, retries| HealthConfig {
            test: test.iter().map(|s| (*s).to_owned()).collect(),
            interval,
            retries,
            ..HealthConfig::default()
        };
        let image = check(&["CMD", "a"], 5, 2);
        let cases = [
            (None, image.clone()),
            (Some(check(&[], 7, 0)), check(&["CMD", "a"], 7, 2)),
            (Some(check(&["NONE"], 0, 0)), check(&["NONE"], 5, 2)),
        ];
        for (ours, wanted) in cases {
            let with = |healthcheck| ContainerConfig {
                healthcheck,
                ..ContainerConfig::default()
            };
            let mut user = with(ours);
            merge(&mut user, &with(Some(image.clone())));
            assert_eq!(user.healthcheck, Some(wanted));
        }
    }

    #[test]
    fn the_last_value_of_a_name_wins() {
        let config = ContainerConfig {
            env: vec!["A=1".into(), "PATH=/x".into(), "HOSTNAME".into()],
            ..ContainerConfig::default()
        };
        let env = environment(&config, "h", true, &["A=2".into()]);
        assert_eq!(env, ["PATH=/x", "TERM=xterm", "A=2"]);
    }
}
