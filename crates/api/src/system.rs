//! The daemon and its host: ping, version, info, events.

use axum::{
    body::Body,
    http::{HeaderValue, Method, Response, StatusCode, header},
};

use crate::{
    answer::{Answer, json, typed},
    backend::EventsOptions,
    dispatch::Call,
    error::Refusal,
    stream, versions,
};

/// Names that `filters` may have for events.
const FILTERS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

pub(crate) fn ping(call: &Call) -> Response<Body> {
    let body = if call.endpoint.method == Method::HEAD.as_str() {
        ""
    } else {
        "OK"
    };
    let mut response = typed(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        Body::from(body),
    );
    let headers = response.headers_mut();
    for (name, value) in [
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        ("builder-version", "1"),
        ("swarm", "inactive"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if body.is_empty() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

pub(crate) async fn version(call: Call) -> Answer {
    json(StatusCode::OK, &call.server.system.version().await?)
}

pub(crate) async fn info(call: Call) -> Answer {
    let info = call.server.system.info().await?;
    json(StatusCode::OK, &versions::info(call.version, &info)?)
}

pub(crate) async fn events(call: Call) -> Answer {
    let options = EventsOptions {
        since: call.query.time("since")?,
        until: call.query.time("until")?,
        filters: call.query.filters(FILTERS)?,
    };
    if let (Some(since), Some(until)) = (options.since, options.until)
        && since > until
    {
        return Err(Refusal::bad(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            call.query.text("since"),
            call.query.text("until")
        )));
    }
    let events = call.server.system.events(options).await?;
    let body = stream::lines(events, "\n", &call.closing);
    Ok(typed(StatusCode::OK, "application/json", body))
}
