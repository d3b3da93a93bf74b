//! `inspect`, `container inspect`, `image inspect`, `network inspect`, `volume inspect`.

use serde_json::Value;

use super::Context;
use crate::{
    client::{Error as ClientError, Request},
    error::{Error, Result},
    flags::{FORMAT, Flag, Matches, switch, text},
    format::{
        indent, output,
        template::{Document, alias},
    },
};

const SIZE: Flag = switch("size", "Show how much containers hold on disk").short('s');

/// Flags of `inspect`.
pub(crate) const ANY: &[Flag] = &[
    FORMAT,
    SIZE,
    text(
        "type",
        "Only objects of this type: container, image, network or volume",
    ),
];

/// Flags of `container inspect`.
pub(crate) const CONTAINER: &[Flag] = &[FORMAT, SIZE];

/// Flags of `image inspect`.
pub(crate) const IMAGE: &[Flag] = &[
    FORMAT,
    text(
        "platform",
        "Inspect a specific platform of the multi-platform image, os[/arch[/variant]]",
    ),
];

/// Flags of `network inspect`.
pub(crate) const NETWORK: &[Flag] = &[
    FORMAT,
    switch("verbose", "Verbose output for diagnostics").short('v'),
];

/// docker's types of objects.
const TYPES: &[&str] = &[
    "config",
    "container",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "task",
    "volume",
];

#[derive(Clone, Copy)]
enum Kind {
    Container,
    Image,
    Network,
    Volume,
    Any,
}

/// `docker inspect`.
pub(crate) async fn any(context: &Context, m: Matches) -> Result {
    let kind = match m.get("type") {
        None => Kind::Any,
        Some("container") => Kind::Container,
        Some("image") => Kind::Image,
        Some("network") => Kind::Network,
        Some("volume") => Kind::Volume,
        Some(known) if TYPES.contains(&known) => {
            return Err(Error::msg(format!(
                "--type {known} is not supported by wharf yet"
            )));
        }
        Some("") => {
            return Err(Error::msg(
                "type is empty: must be one of \"container\", \"image\", \"network\", \"volume\"",
            ));
        }
        Some(other) => {
            let all: Vec<String> = TYPES.iter().map(|t| format!("\"{t}\"")).collect();
            return Err(Error::msg(format!(
                "unknown type: \"{other}\": must be one of {}",
                all.join(", ")
            )));
        }
    };
    inspect(context, &m, kind).await
}

/// `docker container inspect`.
pub(crate) async fn containers(context: &Context, m: Matches) -> Result {
    inspect(context, &m, Kind::Container).await
}

/// `docker image inspect`.
pub(crate) async fn images(context: &Context, m: Matches) -> Result {
    inspect(context, &m, Kind::Image).await
}

/// `docker network inspect`.
pub(crate) async fn networks(context: &Context, m: Matches) -> Result {
    inspect(context, &m, Kind::Network).await
}

/// `docker volume inspect`.
pub(crate) async fn volumes(context: &Context, m: Matches) -> Result {
    inspect(context, &m, Kind::Volume).await
}

/// Shows what is found, then complains of what is not.
async fn inspect(context: &Context, m: &Matches, kind: Kind) -> Result {
    let format = m.text("format");
    // docker prints a list for it, as without a format, in one line.
    let json = format == "json";
    let document = if format.is_empty() || json {
        None
    } else {
        Some(Document::parse("", &format)?)
    };
    let mut found = Vec::new();
    let mut failures = Vec::new();
    let mut shown = String::new();
    for name in &m.args {
        let details = Details {
            size: m.on("size"),
            verbose: m.on("verbose"),
            platform: m.text("platform"),
        };
        match get(context, name, kind, &details).await {
            Ok(text) => {
                if let Some(document) = &document {
                    let mut value: Value = serde_json::from_str(&text).map_err(|e| {
                        Error::msg(format!("{name}: the daemon's answer cannot be read: {e}"))
                    })?;
                    alias(&mut value, &format, "Id", "ID");
                    let rendered = document.render(&value).or_else(|error| {
                        fill(&mut value);
                        // What is still missing was never there.
                        document.render(&value).map_err(|_| error)
                    });
                    match rendered {
                        Ok(line) => shown.push_str(&format!("{line}\n")),
                        Err(e) => {
                            failures.push(e.to_string());
                            break;
                        }
                    }
                } else {
                    found.push(text);
                }
            }
            Err(e) => {
                let unreachable = matches!(
                    e,
                    Error::Client(ClientError::Unreachable { .. } | ClientError::Permission { .. })
                );
                failures.push(e.to_string());
                if unreachable {
                    break;
                }
            }
        }
    }
    if json {
        output::print(&format!("[{}]\n", found.join(",")))?;
    } else if document.is_some() {
        output::print(if shown.is_empty() { "\n" } else { &shown })?;
    } else {
        output::print(&indent::list(&found))?;
    }
    Error::lines(&failures)
}

/// Members that the API leaves out where there is nothing to say, and that docker's own types have
/// all the same; templates ask for them.
const LEFT_OUT: &[(&str, &[&str])] = &[
    ("", &["SizeRw", "SizeRootFs"]),
    ("/State", &["Health"]),
    (
        "/HostConfig",
        &[
            "Init",
            "Tmpfs",
            "Mounts",
            "Annotations",
            "StorageOpt",
            "Sysctls",
        ],
    ),
    (
        "/Config",
        &[
            "Healthcheck",
            "StopTimeout",
            "Shell",
            "ExposedPorts",
            "Volumes",
            "Labels",
        ],
    ),
];

/// The same for texts.
const EMPTY: &[(&str, &[&str])] = &[("/Config", &["StopSignal", "MacAddress"])];

/// Puts in what the daemon left out.
fn fill(value: &mut Value) {
    let subnets = value.pointer_mut("/IPAM/Config");
    for subnet in subnets.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(subnet) = subnet.as_object_mut() {
            for name in ["Subnet", "IPRange", "Gateway"] {
                subnet.entry(name).or_insert_with(|| "".into());
            }
            // docker's type has another name for it than the API.
            let reserved = subnet.get("AuxiliaryAddresses").cloned();
            let reserved = reserved.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            subnet.insert("AuxAddress".to_owned(), reserved);
        }
    }
    let empty = Value::String(String::new());
    for (all, absent) in [(LEFT_OUT, Value::Null), (EMPTY, empty)] {
        for (parent, names) in all {
            let Some(Value::Object(parent)) = value.pointer_mut(parent) else {
                continue;
            };
            for name in *names {
                parent.entry(*name).or_insert_with(|| absent.clone());
            }
        }
    }
}

/// What is to be told of an object besides.
struct Details {
    size: bool,
    verbose: bool,
    platform: String,
}

async fn get(context: &Context, name: &str, kind: Kind, details: &Details) -> Result<String> {
    let container = async || {
        let request =
            Request::get(&format!("/containers/{name}/json")).query_on("size", details.size);
        body(context, request).await
    };
    let image = async || {
        let request =
            Request::get(&format!("/images/{name}/json")).query_platform(&details.platform);
        body(context, request).await
    };
    let network = async || {
        let request = Request::get(&format!("/networks/{name}"));
        let request = match details.verbose {
            true => request.query("verbose", "true"),
            false => request,
        };
        body(context, request).await
    };
    let volume = async || {
        let request = Request::get(&format!("/volumes/{name}"));
        body(context, request).await
    };
    let answer = match kind {
        Kind::Container => container().await,
        Kind::Image => image().await,
        Kind::Network => network().await,
        Kind::Volume => volume().await,
        Kind::Any => {
            let mut found = container().await;
            if found.as_ref().is_err_and(ClientError::is_not_found) {
                found = image().await;
            }
            if found.as_ref().is_err_and(ClientError::is_not_found) {
                found = network().await;
            }
            if found.as_ref().is_err_and(ClientError::is_not_found) {
                found = volume().await;
            }
            if found.as_ref().is_err_and(ClientError::is_not_found) {
                return Err(Error::msg(format!("Error: No such object: {name}")));
            }
            found
        }
    };
    Ok(answer?)
}

async fn body(context: &Context, request: Request) -> std::result::Result<String, ClientError> {
    let answer = request.send(&context.client).await?;
    let bytes = answer.bytes().await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn what_is_left_out_is_nothing() {
        let mut value = json!({"State": {"Pid": 1}, "Config": {"StopSignal": "SIGINT"}});
        super::fill(&mut value);
        assert_eq!(value["State"], json!({"Pid": 1, "Health": null}));
        assert_eq!(value["Config"]["StopSignal"], "SIGINT");
        assert_eq!(value["Config"]["MacAddress"], "");
        assert!(value.get("HostConfig").is_none());
        let mut network = json!({"IPAM": {"Config": [{"Subnet": "10.0.0.0/8"}]}});
        super::fill(&mut network);
        let subnet = &network["IPAM"]["Config"][0];
        assert_eq!(
            (&subnet["IPRange"], &subnet["AuxAddress"]),
            (&json!(""), &json!({}))
        );
    }
}
