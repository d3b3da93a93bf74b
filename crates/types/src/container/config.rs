//! What a client asks for when it creates a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{HostConfig, NetworkingConfig};

/// An object without members, `{}`: Go's empty struct as the value of a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// A health check as it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthConfig {
    /// `[]` inherits, `["NONE"]` disables, `["CMD", …]` or `["CMD-SHELL", …]` runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Nanoseconds between checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Nanoseconds that a check may take.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Nanoseconds in which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Nanoseconds between checks in the start period.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// The part of a container's definition that travels with it to any host; also the defaults
/// that an image brings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// Host name; the short identifier when empty.
    pub hostname: String,
    /// Domain name.
    pub domainname: String,
    /// `uid`, `uid:gid` or names; the image's when empty.
    pub user: String,
    /// The creating client will attach to standard input.
    pub attach_stdin: bool,
    /// The creating client will attach to standard output.
    pub attach_stdout: bool,
    /// The creating client will attach to standard error.
    pub attach_stderr: bool,
    /// Ports that the image says it serves, `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// Give it a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub open_stdin: bool,
    /// Close standard input when the first client that attached to it goes.
    pub stdin_once: bool,
    /// `NAME=value` pairs; `NAME` alone removes one.
    pub env: Vec<String>,
    /// Arguments, or the program where there is no entrypoint.
    #[serde(deserialize_with = "string_or_list")]
    pub cmd: Option<Vec<String>>,
    /// Health check; the image's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Windows only; kept as sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// The image as the user wrote it.
    pub image: String,
    /// Places that get an anonymous volume.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    /// Working directory; `/` when empty.
    pub working_dir: String,
    /// Program and first arguments.
    #[serde(deserialize_with = "string_or_list")]
    pub entrypoint: Option<Vec<String>>,
    /// No network at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub network_disabled: bool,
    /// Hardware address, in the place that old clients use.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    /// Instructions for builds on this image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Signal that `stop` sends; SIGTERM when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds that `stop` waits; 10 when absent, negative: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// Shell for the shell form of instructions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// `Cmd` and `Entrypoint` may be a list, one string or null.
fn string_or_list<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    Ok(
        Option::<Either>::deserialize(d)?.map(|either| match either {
            Either::One(text) => vec![text],
            Either::Many(list) => list,
        }),
    )
}

/// `POST /containers/create`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateRequest {
    /// What travels with the container.
    #[serde(flatten)]
    pub config: ContainerConfig,
    /// What belongs to this host.
    #[serde(rename = "HostConfig")]
    pub host_config: HostConfig,
    /// Its networks.
    #[serde(rename = "NetworkingConfig")]
    pub networking_config: NetworkingConfig,
    /// Members that this version of wharf does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Answer to `POST /containers/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateResponse {
    /// The new container's identifier.
    pub id: String,
    /// What was changed or left out, and why.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn create_takes_what_clients_send() {
        let body = json!({"Image": "busybox", "Cmd": "true", "Entrypoint": ["a", "b"],
            "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}, "New": 1,
            "HostConfig": {"Memory": 1, "Cgroup": ["a"]}});
        let request: CreateRequest = serde_json::from_value(body).unwrap();
        assert_eq!(
            request.config.cmd.as_deref(),
            Some(&["true".to_owned()][..])
        );
        assert_eq!(request.host_config.memory, 1);
        assert_eq!(request.host_config.other["Cgroup"][0], "a");
        assert_eq!(request.other["New"], 1);
    }
}
