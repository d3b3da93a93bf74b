//! Further processes in containers.

use axum::http::StatusCode;
use serde_json::{Value, json as value};
use types::exec::{ExecConfig, ExecStart};

use crate::{
    answer::{Answer, empty, json, to_its_end},
    body, containers,
    detach::Escape,
    dispatch::Call,
    error::Refusal,
    logs, validate,
};

pub(crate) async fn create(call: Call) -> Answer {
    let since_42 = call.since(42);
    let sent: Value = body::json(&call.headers, call.body)
        .await?
        .ok_or_else(body::missing)?;
    let mut config: ExecConfig = serde_json::from_value(sent)
        .map_err(|error| Refusal::bad(format!("invalid JSON: {error}")))?;
    if !since_42 {
        config.console_size = None;
    }
    if config.cmd.is_empty() {
        return Err(Refusal::bad("No exec command specified"));
    }
    Escape::new(&config.detach_keys)?;
    validate::environment(&config.env)?;
    validate::working_dir(&config.working_dir)?;
    let (containers, name) = (call.server.containers, call.name);
    let id = to_its_end(async move { containers.exec_create(&name, config).await }).await?;
    json(StatusCode::CREATED, &value!({ "Id": id }))
}

pub(crate) async fn start(mut call: Call) -> Answer {
    let sent = std::mem::take(&mut call.body);
    let start: Option<ExecStart> = body::json(&call.headers, sent).await?;
    let mut start = start.unwrap_or_default();
    if !call.since(42) {
        start.console_size = None;
    }
    if start.console_size.is_some_and(|size| size != [0, 0]) && !start.tty {
        return Err(Refusal::bad(
            "console size is only supported when TTY is enabled",
        ));
    }
    let containers = call.server.containers.clone();
    if start.detach {
        let id = call.name;
        to_its_end(async move { containers.exec_start(&id, start).await }).await?;
        return Ok(empty(StatusCode::OK));
    }
    logs::connected(&call)?;
    let keys = containers.exec_inspect(&call.name).await?.detach_keys;
    let escape = Escape::new(&keys)?;
    let attachment = containers.exec_start(&call.name, start).await?;
    let attachment = attachment.ok_or_else(|| {
        types::Failure::system(format!(
            "exec {} was started without its streams",
            call.name
        ))
    })?;
    logs::take_over(call, attachment, escape).await
}

pub(crate) async fn resize(call: Call) -> Answer {
    let (rows, columns) = containers::size(&call)?;
    call.server
        .containers
        .exec_resize(&call.name, rows, columns)
        .await?;
    Ok(empty(StatusCode::OK))
}

pub(crate) async fn inspect(call: Call) -> Answer {
    json(
        StatusCode::OK,
        &call.server.containers.exec_inspect(&call.name).await?,
    )
}
