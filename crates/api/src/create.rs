//! `POST /containers/create`: everything about the request that can be judged without an engine
//! is judged here, so that a refused one has changed nothing.

use axum::http::StatusCode;
use serde_json::Value;
use types::{
    container::CreateRequest,
    names::{ALLOWED, is_valid},
};

use crate::{
    answer::{Answer, json, to_its_end},
    body,
    dispatch::Call,
    error::Refusal,
    fields, validate,
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
    let auto_remove = call.since(25);
    let (kernel_memory, start_interval) = (!call.since(42), call.since(44));
    let sent: Value = body::json(&call.headers, call.body)
        .await?
        .ok_or_else(body::missing)?;
    let mut request = parse(sent)?;
    if !auto_remove {
        request.host_config.auto_remove = false;
    }
    if !start_interval && let Some(health) = &mut request.config.healthcheck {
        // Docker ignores it from clients of the time before.
        health.start_interval = 0;
    }
    if !kernel_memory {
        // Gone from this version on; older clients are warned that kernels lost it.
        request.host_config.kernel_memory = 0;
    }
    fields::check(&request)?;
    validate::request(&request)?;
    let containers = call.server.containers;
    let created =
        to_its_end(async move { containers.create(name, platform, request).await }).await?;
    json(StatusCode::CREATED, &created)
}

/// A request must say something of the container itself.
fn parse(mut sent: Value) -> Result<CreateRequest, Refusal> {
    fields::respell(&mut sent);
    let config = sent.as_object().is_some_and(|members| {
        members
            .keys()
            .any(|name| !matches!(name.as_str(), "HostConfig" | "NetworkingConfig"))
    });
    let request: CreateRequest = serde_json::from_value(sent)
        .map_err(|error| Refusal::bad(format!("invalid JSON: {error}")))?;
    if !config {
        return Err(Refusal::bad(
            "config cannot be empty in order to create a container",
        ));
    }
    Ok(request)
}
