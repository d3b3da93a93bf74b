//! Changes to containers' lives: update, rename, pause, prune; and their processes.

use axum::http::StatusCode;
use serde_json::Value;
use types::{Failure, container::HostConfig, json::is_zero};

use crate::{
    answer::{Answer, empty, json, to_its_end},
    body, create,
    dispatch::Call,
    error::Refusal,
    fields,
    json::from_value_at,
    prune, validate,
};

/// What can be changed after a container was made.
const CHANGEABLE: &[&str] = &[
    "BlkioWeight",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "KernelMemory",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "NanoCpus",
    "PidsLimit",
    "RestartPolicy",
];

pub(crate) async fn update(call: Call) -> Answer {
    let (pids, kernel_memory) = (call.since(40), !call.since(42));
    let sent: Value = body::json(&call.headers, call.body)
        .await?
        .ok_or_else(body::missing)?;
    let mut change = change(sent)?;
    if !pids {
        change.pids_limit = None;
    }
    if !kernel_memory {
        change.kernel_memory = 0;
    }
    validate::update(&change)?;
    let (life, name) = (call.server.life, call.name);
    let done = to_its_end(async move { life.update(&name, change).await }).await?;
    json(StatusCode::OK, &done)
}

/// What the body asks for. Docker ignores what cannot be changed; whoever asks for that is told.
fn change(sent: Value) -> Result<HostConfig, Refusal> {
    let Value::Object(sent) = sent else {
        return Err(body::missing());
    };
    let sent = create::spelt(sent, &fields::host_members())?;
    for (name, value) in &sent {
        let fixed = fields::is_known(name) && !CHANGEABLE.contains(&name.as_str());
        // -1 is what docker's own client sends for no wish.
        let unset = is_zero(value) || name == "MemorySwappiness" && *value == -1;
        if fixed && !unset {
            return Err(Failure::invalid(format!(
                "{name} cannot be changed after a container was created: leave it out"
            ))
            .into());
        }
    }
    from_value_at(Value::Object(sent), "UpdateConfig").map_err(Refusal::bad)
}

pub(crate) async fn rename(call: Call) -> Answer {
    let new = call.query.text("name").to_owned();
    to_its_end(async move { call.server.life.rename(&call.name, &new).await }).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn pause(call: Call) -> Answer {
    to_its_end(async move { call.server.life.pause(&call.name).await }).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn unpause(call: Call) -> Answer {
    to_its_end(async move { call.server.life.unpause(&call.name).await }).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn prune(call: Call) -> Answer {
    let mut filters = call.query.filters(&["label", "label!", "until"])?;
    let until = prune::until(&mut filters)?;
    let life = call.server.life;
    let pruned = to_its_end(async move { life.prune(filters, until).await }).await?;
    json(StatusCode::OK, &pruned)
}

/// The container's processes, as `ps` shows them.
pub(crate) async fn top(call: Call) -> Answer {
    let arguments = call.query.text("ps_args");
    json(
        StatusCode::OK,
        &call.server.life.top(&call.name, arguments).await?,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_change_is_named() {
        for (body, name) in [
            (json!({"OomKillDisable": true}), "OomKillDisable"),
            (json!({"devices": [{"PathOnHost": "/dev/null"}]}), "Devices"),
            (json!({"Binds": ["a:b"]}), "Binds"),
            (
                json!({"Memory": 1, "MemorySwappiness": 3}),
                "MemorySwappiness",
            ),
        ] {
            assert!(change(body).unwrap_err().message.starts_with(name));
        }
        let body = json!({"memory": 7, "MemorySwappiness": -1, "CpuCount": 0, "Unknown": 1});
        assert_eq!(change(body).unwrap().memory, 7);
    }
}
