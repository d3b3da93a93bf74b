//! Volumes: Docker's endpoints, and our own for copies and archives.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode},
};
use types::volume::VolumeCreate;

use crate::{
    answer::{Answer, empty, json, to_its_end, typed},
    body,
    dispatch::Call,
    error::Refusal,
};

/// Says what an archive lacks.
const WARNING: &str = "x-wharf-warning";

/// Names that `filters` may have for the list.
const FILTERS: &[&str] = &["dangling", "driver", "label", "name"];

pub(crate) async fn list(call: Call) -> Answer {
    let filters = call.query.filters(FILTERS)?;
    json(StatusCode::OK, &call.server.volumes.list(filters).await?)
}

pub(crate) async fn create(call: Call) -> Answer {
    let request: VolumeCreate = body::json(&call.headers, call.body)
        .await?
        .ok_or_else(body::missing)?;
    if request.cluster_volume_spec.is_some() {
        return Err(no_swarm());
    }
    let volumes = call.server.volumes;
    let made = to_its_end(async move { volumes.create(request).await }).await?;
    json(StatusCode::CREATED, &made)
}

pub(crate) async fn inspect(call: Call) -> Answer {
    json(
        StatusCode::OK,
        &call.server.volumes.inspect(&call.name).await?,
    )
}

/// Only volumes of a cluster can be changed.
pub(crate) async fn update(call: Call) -> Answer {
    if call.query.some("version").is_none() {
        return Err(Refusal::bad("invalid version for volume update: ''"));
    }
    Err(no_swarm())
}

fn no_swarm() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "volume update only valid for cluster volumes, but swarm is unavailable",
    )
}

pub(crate) async fn remove(call: Call) -> Answer {
    let force = call.query.bool("force");
    let (volumes, name) = (call.server.volumes, call.name);
    to_its_end(async move { volumes.remove(&name, force).await }).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn copy(call: Call) -> Answer {
    let new = call.query.text("name").to_owned();
    let snapshot = call.query.bool("snapshot");
    let (volumes, name) = (call.server.volumes, call.name);
    let copied = to_its_end(async move { volumes.copy(&name, &new, snapshot).await }).await?;
    json(StatusCode::CREATED, &copied)
}

pub(crate) async fn export(call: Call) -> Answer {
    let (archive, lacks) = call.server.volumes.export(&call.name).await?;
    let body = Body::from_stream(archive);
    let mut answer = typed(StatusCode::OK, "application/zstd", body);
    for warning in lacks {
        // Names in it are escaped.
        if let Ok(value) = HeaderValue::from_bytes(warning.as_bytes()) {
            answer.headers_mut().append(WARNING, value);
        }
    }
    Ok(answer)
}

pub(crate) async fn import(call: Call) -> Answer {
    let limit = call.query.number("limit")?;
    let archive = body::stream(call.body);
    let (volumes, name) = (call.server.volumes, call.name);
    let made = to_its_end(async move { volumes.import(&name, limit, archive).await }).await?;
    json(StatusCode::CREATED, &made)
}
