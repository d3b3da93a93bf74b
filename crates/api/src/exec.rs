//! Further processes in containers.

use axum::http::StatusCode;
use futures_util::FutureExt;
use serde_json::json as value;
use types::{
    Failure,
    exec::{ExecConfig, ExecInspect, ExecStart},
};

use crate::{
    answer::{Answer, empty, json, to_its_end},
    backend::Containers,
    body, containers,
    detach::Escape,
    dispatch::Call,
    error::Refusal,
    hijack::Takeover,
    logs, validate,
};

pub(crate) async fn create(call: Call) -> Answer {
    let since_42 = call.since(42);
    let mut config: ExecConfig = body::json(&call.headers, call.body)
        .await?
        .ok_or_else(body::missing)?;
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
    let exec = containers.exec_inspect(&call.name).await?;
    let escape = Escape::new(&exec.detach_keys)?;
    startable(&*containers, &exec).await?;
    let (id, tty) = (call.name.clone(), start.tty);
    let attachment = to_its_end(async move {
        let attachment = containers.exec_start(&id, start).await?;
        attachment
            .ok_or_else(|| Failure::system(format!("exec {id} was started without its streams")))
    });
    let takeover = Takeover::new(&call, tty, attachment.boxed(), escape);
    logs::take_over(call, takeover).await
}

/// What can be found out before the head is sent is refused with a status; see [`Takeover::new`].
async fn startable(containers: &dyn Containers, exec: &ExecInspect) -> Result<(), Refusal> {
    let id = &exec.id;
    if exec.running || exec.can_remove {
        return Err(Failure::conflict(format!("exec {id} has already run")).into());
    }
    let container = &exec.container_id;
    let found = containers.inspect(container, false).await?;
    if !found.state.running {
        let text = format!("container {container} is not running");
        return Err(Failure::conflict(text).into());
    }
    Ok(())
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
