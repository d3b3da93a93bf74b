//! Longer work on images: history, push, search, save, prune, registries.

use axum::{body::Body, http::StatusCode};

use crate::{
    answer::{Answer, json, to_its_end, typed},
    dispatch::{Call, unsupported},
    error::Refusal,
};

pub(crate) async fn history(call: Call) -> Answer {
    let platform = platform(&call)?;
    let steps = call.server.image_work.history(&call.name, platform).await?;
    json(StatusCode::OK, &steps)
}

/// One image, or several by the parameter `names`.
pub(crate) async fn get(call: Call) -> Answer {
    let platform = platform(&call)?;
    let names: Vec<String> = match call.name.as_str() {
        "" => call.query.all("names").map(str::to_owned).collect(),
        name => vec![name.to_owned()],
    };
    if names.is_empty() {
        return Err(Refusal::bad("no images to save: name them by `names`"));
    }
    let archive = call.server.image_work.save(names, platform).await?;
    Ok(typed(
        StatusCode::OK,
        "application/x-tar",
        Body::from_stream(archive),
    ))
}

pub(crate) async fn prune(call: Call) -> Answer {
    let mut filters = call
        .query
        .filters(&["dangling", "label", "label!", "until"])?;
    let all = match filters.remove("dangling").unwrap_or_default().as_slice() {
        [] => false,
        [one] if matches!(one.as_str(), "1" | "true") => false,
        [one] if matches!(one.as_str(), "0" | "false") => true,
        other => {
            let message = format!("invalid filter 'dangling={other:?}'");
            return Err(Refusal::bad(message));
        }
    };
    let work = call.server.image_work;
    let pruned = to_its_end(async move { work.prune(all, filters).await }).await?;
    json(StatusCode::OK, &pruned)
}

/// Clients send it as JSON (since 1.48) or as text.
fn platform(call: &Call) -> Result<Option<String>, Refusal> {
    let text = call.query.text("platform");
    if !text.starts_with('{') {
        return Ok(call.query.some("platform"));
    }
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|e| Refusal::bad(format!("failed to parse platform: {e}")))?;
    let part = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let parts = [part("os"), part("architecture"), part("variant")];
    let given: Vec<_> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    Ok(Some(given.join("/")))
}

pub(crate) async fn push(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn search(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn distribution(call: Call) -> Answer {
    unsupported(&call)
}

pub(crate) async fn auth(call: Call) -> Answer {
    unsupported(&call)
}
