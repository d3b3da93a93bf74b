//! What containers do and take: statistics, disk usage.

use axum::http::StatusCode;
use types::{
    Failure,
    options::{StatsMode, UsageOptions},
};

use crate::{
    answer::{Answer, json, typed},
    dispatch::Call,
    error::Refusal,
    stream, versions,
};

pub(crate) async fn stats(call: Call) -> Answer {
    let streamed = call.query.bool_or("stream", true);
    let one_shot = call.since(41) && call.query.bool("one-shot");
    let mode = match (streamed, one_shot) {
        (true, true) => {
            return Err(Refusal::bad("cannot have stream=true and one-shot=true"));
        }
        (true, false) => StatsMode::Stream,
        (false, true) => StatsMode::OneShot,
        (false, false) => StatsMode::Pair,
    };
    let samples = call.server.live.stats(&call.name, mode).await?;
    let body = stream::lines(samples, "\n", &call.closing);
    Ok(typed(StatusCode::OK, "application/json", body))
}

pub(crate) async fn disk_usage(call: Call) -> Answer {
    let mut options = UsageOptions {
        images: true,
        containers: true,
        volumes: true,
        build_cache: true,
    };
    let types: Vec<&str> = if call.since(42) {
        call.query.all("type").collect()
    } else {
        Vec::new()
    };
    if !types.is_empty() {
        options = UsageOptions {
            images: false,
            containers: false,
            volumes: false,
            build_cache: false,
        };
        for kind in types {
            match kind {
                "image" => options.images = true,
                "container" => options.containers = true,
                "volume" => options.volumes = true,
                "build-cache" => options.build_cache = true,
                other => return Err(Refusal::bad(format!("unknown object type: {other}"))),
            }
        }
    }
    let build_cache = options.build_cache;
    let mut usage = call.server.live.disk_usage(options).await?;
    if build_cache {
        let records = call.server.builds.records().await?;
        let records = records.iter().map(serde_json::to_value);
        let records = records.collect::<Result<_, _>>();
        usage.build_cache = Some(records.map_err(Failure::system)?);
    }
    json(StatusCode::OK, &versions::disk_usage(call.version, usage))
}
