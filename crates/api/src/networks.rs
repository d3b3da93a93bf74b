//! Networks, to read.

use axum::http::StatusCode;

use crate::{
    answer::{Answer, json},
    dispatch::Call,
    error::Refusal,
};

/// Names that `filters` may have for the list.
const FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

pub(crate) async fn list(call: Call) -> Answer {
    let filters = call.query.filters(FILTERS)?;
    json(StatusCode::OK, &call.server.networks.list(filters).await?)
}

pub(crate) async fn inspect(call: Call) -> Answer {
    let scope = call.query.text("scope");
    let network = call.server.networks.inspect(&call.name).await?;
    if !scope.is_empty() && scope != network.scope {
        let message = format!("network {} not found", call.name);
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    }
    // `verbose` adds services, which no local network has.
    json(StatusCode::OK, &network)
}
