//! Longer work on images: history, save, prune.

use std::collections::BTreeMap;

use axum::{body::Body, http::StatusCode};
use serde_json::{Value, json};
use types::options::yes_or_no;

use crate::{
    answer::{self, Answer, to_its_end, typed},
    dispatch::Call,
    error::Refusal,
    fields,
};

pub(crate) async fn history(call: Call) -> Answer {
    let platform = platform(&call)?;
    let steps = call.server.image_work.history(&call.name, platform).await?;
    answer::json(StatusCode::OK, &steps)
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

pub(crate) async fn collect(call: Call) -> Answer {
    let dry_run = call.query.bool("dry-run");
    let work = call.server.image_work;
    let report = to_its_end(async move { work.collect(dry_run).await }).await?;
    answer::json(StatusCode::OK, &report)
}

pub(crate) async fn prune(call: Call) -> Answer {
    let mut filters = call
        .query
        .filters(&["dangling", "label", "label!", "until"])?;
    let all = yes_or_no(&filters, "dangling")? == Some(false);
    filters.remove("dangling");
    let work = call.server.image_work;
    let pruned = to_its_end(async move { work.prune(all, filters).await }).await?;
    answer::json(StatusCode::OK, &pruned)
}

/// Clients send it as JSON (since 1.48) or as text.
pub(crate) fn platform(call: &Call) -> Result<Option<String>, Refusal> {
    let text = call.query.text("platform");
    if call.query.all("platform").count() > 1 {
        return Err(fields::unsupported("more than one parameter platform").into());
    }
    if !text.starts_with('{') {
        return Ok(call.query.some("platform"));
    }
    parts(text).map(Some)
}

/// `os[/arch[/variant]]` of a platform as JSON.
pub(crate) fn parts(text: &str) -> Result<String, Refusal> {
    let bad = |why: &str| Refusal::bad(format!("failed to parse platform: {why}"));
    let value: BTreeMap<String, Value> =
        serde_json::from_str(text).map_err(|e| bad(&e.to_string()))?;
    let mut parts = [String::new(), String::new(), String::new()];
    for (name, value) in value {
        let at = match name.as_str() {
            "os" => 0,
            "architecture" => 1,
            "variant" => 2,
            _ if matches!(value, Value::Null) || value == "" || value == json!([]) => continue,
            other => {
                let what = format!("the platform's member {other}");
                return Err(fields::unsupported(&what).into());
            }
        };
        match value {
            Value::Null => {}
            Value::String(part) => parts[at] = part,
            _ => return Err(bad(&format!("{name} must be a string"))),
        }
    }
    let given: Vec<_> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    Ok(given.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_from_json() {
        let text = r#"{"architecture":"arm","os":"linux","variant":"v7","os.version":""}"#;
        assert_eq!(parts(text).unwrap(), "linux/arm/v7");
        for bad in [r#"{"os":1}"#, "{", r#"{"os":"linux","os.version":"10"}"#] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }
}
