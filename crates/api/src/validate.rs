//! What can be said against a request without an engine, in Docker's words where it has some.

use std::{collections::BTreeMap, net::IpAddr};

use types::container::{ContainerConfig, CreateRequest, HostConfig, PortMap, RestartPolicy};

use crate::{error::Refusal, signals};

const MEGABYTE: i64 = 1024 * 1024;
const BILLION: i64 = 1_000_000_000;
/// The kernel's bound for a host name.
const HOSTNAME_LIMIT: usize = 64;

type Checked = Result<(), Refusal>;

/// Refuses a request that cannot become a container.
pub(crate) fn request(request: &CreateRequest) -> Checked {
    let (config, host) = (&request.config, &request.host_config);
    if config.image.is_empty() {
        return Err(Refusal::bad(
            "no image specified: name the one to create the container from",
        ));
    }
    environment(&config.env)?;
    working_dir(&config.working_dir)?;
    hostname(&config.hostname)?;
    hostname(&config.domainname)?;
    if !config.stop_signal.is_empty() {
        signals::check(&config.stop_signal)?;
    }
    exposed(config)?;
    published(&host.port_bindings)?;
    restart(&host.restart_policy)?;
    if host.auto_remove && !matches!(host.restart_policy.name.as_str(), "" | "no") {
        return Err(Refusal::bad(
            "can't create 'AutoRemove' container with restart policy",
        ));
    }
    resources(host)?;
    network(config, host)
}

/// Refuses a change that no container can take.
pub(crate) fn update(change: &HostConfig) -> Checked {
    restart(&change.restart_policy)?;
    resources(change)
}

/// `NAME=value` or `NAME`.
pub(crate) fn environment(env: &[String]) -> Checked {
    let bad = |entry: &&String| entry.is_empty() || entry.starts_with('=') || entry.contains('\0');
    match env.iter().find(bad) {
        Some(entry) => Err(Refusal::bad(format!(
            "invalid environment variable: {entry:?}"
        ))),
        None => Ok(()),
    }
}

pub(crate) fn working_dir(path: &str) -> Checked {
    if path.is_empty() || (path.starts_with('/') && !path.contains('\0')) {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "the working directory '{path}' is invalid, it needs to be an absolute path"
    )))
}

fn hostname(name: &str) -> Checked {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '/';
    if name.len() <= HOSTNAME_LIMIT && !name.contains(odd) {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "invalid hostname format: {name:?}: at most {HOSTNAME_LIMIT} bytes, without spaces or slashes"
    )))
}

/// `80/tcp` → `("80", "tcp")`; the protocol is TCP when none is named.
fn port(text: &str) -> Result<(), Refusal> {
    let invalid = || Refusal::bad(format!("invalid port specification: {text:?}"));
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if number.parse::<u16>().map_err(|_| invalid())? == 0 || number.starts_with('+') {
        return Err(invalid());
    }
    match protocol {
        "tcp" | "udp" | "sctp" => Ok(()),
        _ => Err(Refusal::bad(format!(
            "invalid proto: {protocol:?} of port {text:?}"
        ))),
    }
}

fn exposed(config: &ContainerConfig) -> Checked {
    config.exposed_ports.keys().try_for_each(|key| port(key))
}

fn published(ports: &PortMap) -> Checked {
    for (key, bindings) in ports {
        port(key)?;
        for binding in bindings {
            if !host_port(&binding.host_port) {
                return Err(Refusal::bad(format!(
                    "invalid port specification: {:?}",
                    binding.host_port
                )));
            }
            let ip = binding.host_ip.trim_matches(['[', ']']);
            if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
                return Err(Refusal::bad(format!(
                    "invalid IP address {:?} to publish port {key} on",
                    binding.host_ip
                )));
            }
        }
    }
    Ok(())
}

/// Nothing, a port (0 for any) or a range.
fn host_port(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(from), Ok(to)) => digits(first) && digits(last) && from <= to,
        _ => false,
    }
}

fn restart(policy: &RestartPolicy) -> Checked {
    let count = policy.maximum_retry_count;
    match policy.name.as_str() {
        "on-failure" if count < 0 => Err(Refusal::bad(
            "invalid restart policy: maximum retry count cannot be negative",
        )),
        "on-failure" => Ok(()),
        "" | "no" | "always" | "unless-stopped" if count == 0 => Ok(()),
        "" | "no" | "always" | "unless-stopped" => {
            let more = if count < 0 {
                " and cannot be negative"
            } else {
                ""
            };
            Err(Refusal::bad(format!(
                "invalid restart policy: maximum retry count can only be used with \
                 'on-failure'{more}"
            )))
        }
        other => Err(Refusal::bad(format!(
            "invalid restart policy: unknown policy '{other}'; \
             use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        ))),
    }
}

fn resources(host: &HostConfig) -> Checked {
    if host.memory < 0 || (host.memory > 0 && host.memory < 6 * MEGABYTE) {
        return Err(Refusal::bad("Minimum memory limit allowed is 6MB"));
    }
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let most = i64::try_from(cpus)
        .unwrap_or(i64::MAX)
        .saturating_mul(BILLION);
    if host.nano_cpus < 0 || host.nano_cpus > most {
        return Err(Refusal::bad(format!(
            "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        )));
    }
    let isolation = host.other.get("Isolation").and_then(|v| v.as_str());
    if let Some(other) = isolation.filter(|i| !matches!(*i, "" | "default")) {
        return Err(Refusal::bad(format!(
            "invalid isolation: {other:?} - linux only supports 'default'"
        )));
    }
    if host.shm_size < 0 {
        return Err(Refusal::bad("SHM size can not be less than 0"));
    }
    let mut seen = BTreeMap::new();
    for limit in &host.ulimits {
        if limit.hard != -1 && (limit.soft > limit.hard || limit.soft == -1) {
            return Err(Refusal::bad(format!(
                "ulimit {}: the soft limit must be less than or equal to the hard limit: {} > {}",
                limit.name, limit.soft, limit.hard
            )));
        }
        if seen.insert(&limit.name, ()).is_some() {
            return Err(Refusal::bad(format!(
                "ulimit {} is given twice",
                limit.name
            )));
        }
    }
    Ok(())
}

fn network(config: &ContainerConfig, host: &HostConfig) -> Checked {
    // A network of the user's own is the engine's to find.
    let Some(other) = host.network_mode.strip_prefix("container:") else {
        return Ok(());
    };
    if other.is_empty() {
        return Err(Refusal::bad(
            "Invalid network mode: invalid container format container:<name|id>",
        ));
    }
    let conflict = if !config.hostname.is_empty() {
        "hostname and the network mode"
    } else if !host.port_bindings.is_empty() || host.publish_all_ports {
        "port publishing and the container type network mode"
    } else if !config.exposed_ports.is_empty() {
        "port exposing and the container type network mode"
    } else {
        return Ok(());
    };
    Err(Refusal::bad(format!("conflicting options: {conflict}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(mut body: Value) -> Result<(), String> {
        body["Image"] = json!("i");
        request(&serde_json::from_value(body).unwrap()).map_err(|r| r.message)
    }

    #[test]
    fn dockers_words() {
        for (body, wanted) in [
            (
                json!({"HostConfig": {"Memory": 1}}),
                "Minimum memory limit allowed is 6MB",
            ),
            (
                json!({"HostConfig": {"NanoCpus": -1}}),
                "range of CPUs is from 0.01 to ",
            ),
            (
                json!({"HostConfig": {"NanoCpus": i64::MAX}}),
                "range of CPUs is from 0.01 to ",
            ),
            (
                json!({"Hostname": "a b"}),
                "invalid hostname format: \"a b\"",
            ),
            (json!({"StopSignal": "NO"}), "invalid signal: NO"),
            (
                json!({"ExposedPorts": {"0/tcp": {}}}),
                "invalid port specification: \"0/tcp\"",
            ),
            (
                json!({"ExposedPorts": {"a": {}}}),
                "invalid port specification: \"a\"",
            ),
            (json!({"ExposedPorts": {"1/x": {}}}), "invalid proto: \"x\""),
            (
                json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "70000"}]}}}),
                "invalid port specification: \"70000\"",
            ),
            (
                json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "x"}]}}}),
                "invalid IP address \"x\"",
            ),
            (
                json!({"HostConfig": {"RestartPolicy": {"Name": "x"}}}),
                "invalid restart policy: unknown policy 'x'; use one of 'no', 'always', \
                 'on-failure', or 'unless-stopped'",
            ),
            (
                json!({"HostConfig": {"RestartPolicy": {"Name": "always",
                    "MaximumRetryCount": 1}}}),
                "invalid restart policy: maximum retry count can only be used with 'on-failure'",
            ),
            (
                json!({"HostConfig": {"AutoRemove": true, "RestartPolicy": {"Name": "always"}}}),
                "can't create 'AutoRemove' container with restart policy",
            ),
            (
                json!({"Hostname": "h", "HostConfig": {"NetworkMode": "container:a"}}),
                "conflicting options: hostname and the network mode",
            ),
            (
                json!({"HostConfig": {"NetworkMode": "container:a", "PublishAllPorts": true}}),
                "conflicting options: port publishing and the container type network mode",
            ),
            (
                json!({"HostConfig": {"NetworkMode": "container:"}}),
                "Invalid network mode: ",
            ),
            (
                json!({"Env": ["=a"]}),
                "invalid environment variable: \"=a\"",
            ),
            (
                json!({"WorkingDir": "a"}),
                "the working directory 'a' is invalid",
            ),
        ] {
            let message = check(body).unwrap_err();
            assert!(message.starts_with(wanted), "{message}");
        }
    }

    #[test]
    fn what_is_right_passes() {
        for body in [
            json!({}),
            json!({"Hostname": "h", "HostConfig": {"NetworkMode": "host"}}),
            json!({"HostConfig": {"NetworkMode": "mine"}}),
            json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "99": {}}}),
            json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8000-8010"},
                {"HostIp": "::1", "HostPort": "0"}, {"HostIp": "127.0.0.1"}]}}}),
            json!({"HostConfig": {"RestartPolicy": {"Name": "on-failure",
                "MaximumRetryCount": 3}}}),
            json!({"HostConfig": {"AutoRemove": true, "RestartPolicy": {"Name": "no"}}}),
            json!({"HostConfig": {"Memory": 6 * MEGABYTE, "NanoCpus": 10_000_000}}),
            json!({"HostConfig": {"Ulimits": [{"Name": "core", "Soft": -1, "Hard": -1}]}}),
        ] {
            check(body).unwrap();
        }
    }
}
