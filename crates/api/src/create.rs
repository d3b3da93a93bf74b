//! `POST /containers/create`: everything about the request that can be judged without an engine
//! is judged here, so that a refused one has changed nothing.

use axum::http::StatusCode;
use serde_json::{Map, Value};
use types::{
    container::{CreateRequest, NetworkingConfig},
    names::{ALLOWED, is_valid},
};

use crate::{
    answer::{Answer, json, to_its_end},
    body,
    dispatch::Call,
    endpoint_settings,
    error::Refusal,
    fields,
    json::{from_value_at, respell},
    older, validate,
};

pub(crate) async fn create(call: Call) -> Answer {
    let platform = call.query.some("platform").filter(|_| call.since(41));
    let name = call.query.some("name");
    let name = name.map(|name| name.strip_prefix('/').unwrap_or(&name).to_owned());
    if let Some(name) = name.as_deref().filter(|name| !is_valid(name)) {
        return Err(Refusal::bad(format!(
            "Invalid container name ({name}), only {ALLOWED} are allowed"
        )));
    }
    let version = call.version;
    let sent: Value = body::json(&call.headers, call.body)
        .await?
        .ok_or_else(body::missing)?;
    let mut request = parse(sent)?;
    let warnings = older::adjust(&mut request, version)?;
    fields::check(&request)?;
    validate::request(&request)?;
    let containers = call.server.containers;
    let mut created =
        to_its_end(async move { containers.create(name, platform, request).await }).await?;
    created.warnings.extend(warnings);
    json(StatusCode::CREATED, &created)
}

/// A request must say something of the container itself.
fn parse(sent: Value) -> Result<CreateRequest, Refusal> {
    let Value::Object(sent) = sent else {
        return Err(body::missing());
    };
    let mut sent = spelt(sent, &["HostConfig", "NetworkingConfig"])?;
    let host = sent.remove("HostConfig").unwrap_or_default();
    let networks = sent.remove("NetworkingConfig").unwrap_or_default();
    if sent.is_empty() {
        return Err(Refusal::bad(
            "config cannot be empty in order to create a container",
        ));
    }
    let host = match host {
        // It keeps what it does not know, so its members are not spelt while it is read.
        Value::Object(members) => Value::Object(spelt(members, &fields::host_members())?),
        other => other,
    };
    let at = |name: &str| format!("CreateRequest.{name}");
    let bad = Refusal::bad;
    let mut networking_config: NetworkingConfig =
        from_value_at(networks, &at("NetworkingConfig")).map_err(bad)?;
    for settings in networking_config.endpoints_config.values_mut() {
        endpoint_settings::clean(settings);
    }
    Ok(CreateRequest {
        config: from_value_at(Value::Object(sent), "CreateRequest").map_err(bad)?,
        host_config: from_value_at(host, &at("HostConfig")).map_err(bad)?,
        networking_config,
        other: Map::new(),
    })
}

/// The members in the spelling of `known`, whatever their case.
pub(crate) fn spelt(
    members: Map<String, Value>,
    known: &[&str],
) -> Result<Map<String, Value>, Refusal> {
    let twice =
        |name: String| Refusal::bad(format!("invalid JSON: the member {name:?} is there twice"));
    respell(members, known).map_err(twice)
}
