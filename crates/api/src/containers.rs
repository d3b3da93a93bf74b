//! Containers: list, inspect and their life.

use std::future::Future;

use axum::{body::Body, http::StatusCode};
use futures_util::{StreamExt, stream};
use types::{
    Failure,
    container::{WaitError, WaitResponse},
    options::{CONTAINER_FILTERS, HEALTH, STATUSES},
};

use crate::{
    answer::{Answer, empty, json, to_its_end, typed},
    backend::{ListOptions, RemoveOptions, WaitCondition},
    dispatch::Call,
    error::Refusal,
    signals, stream as streams, versions,
};

/// Filters that have only these values.
const VALUES: &[(&str, &[&str])] = &[("status", STATUSES), ("health", HEALTH)];

pub(crate) async fn list(call: Call) -> Answer {
    let mut filters = call.query.filters(CONTAINER_FILTERS)?;
    for (name, known) in VALUES {
        let values = filters.get(*name).into_iter().flatten();
        if let Some(value) = values.into_iter().find(|v| !known.contains(&v.as_str())) {
            return Err(Refusal::bad(format!("invalid filter '{name}={value}'")));
        }
    }
    for name in ["before", "since"] {
        if let Some(value) = call.query.some(name) {
            filters.entry(name.into()).or_default().push(value);
        }
    }
    let limit: Option<i64> = call.query.number("limit")?;
    let options = ListOptions {
        all: call.query.bool("all"),
        limit: limit
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0),
        size: call.query.bool("size"),
        filters,
    };
    json(StatusCode::OK, &call.server.containers.list(options).await?)
}

pub(crate) async fn inspect(call: Call) -> Answer {
    let size = call.query.bool("size");
    let container = call.server.containers.inspect(&call.name, size).await?;
    json(
        StatusCode::OK,
        &versions::container_inspect(call.version, container)?,
    )
}

async fn done(work: impl Future<Output = Result<(), Failure>> + Send + 'static) -> Answer {
    to_its_end(work).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn start(call: Call) -> Answer {
    let length = call
        .headers
        .get("content-length")
        .and_then(|l| l.to_str().ok());
    let long = length
        .and_then(|l| l.parse::<u64>().ok())
        .is_some_and(|l| l > 7);
    if long || call.headers.contains_key("transfer-encoding") {
        return Err(Refusal::bad(
            "starting container with non-empty request body was deprecated since API v1.22 \
             and removed in v1.24",
        ));
    }
    call.query.refuse("checkpoint")?;
    call.query.refuse("checkpoint-dir")?;
    done(async move { call.server.containers.start(&call.name).await }).await
}

/// Signal and seconds of stop and restart.
fn ending(call: &Call) -> Result<(Option<String>, Option<i64>), Refusal> {
    let signal = call.query.some("signal").filter(|_| call.since(42));
    if let Some(signal) = &signal {
        signals::check(signal)?;
    }
    Ok((signal, call.query.number("t")?))
}

pub(crate) async fn stop(call: Call) -> Answer {
    let (signal, timeout) = ending(&call)?;
    done(async move {
        call.server
            .containers
            .stop(&call.name, signal, timeout)
            .await
    })
    .await
}

pub(crate) async fn restart(call: Call) -> Answer {
    let (signal, timeout) = ending(&call)?;
    done(async move {
        call.server
            .containers
            .restart(&call.name, signal, timeout)
            .await
    })
    .await
}

pub(crate) async fn kill(call: Call) -> Answer {
    let signal = call.query.some("signal");
    let prefix = format!("cannot kill container: {}: ", call.name);
    let work = async {
        if let Some(signal) = &signal {
            signals::check(signal)?;
        }
        done(async move { call.server.containers.kill(&call.name, signal).await }).await
    };
    work.await.map_err(|mut refusal| {
        if !refusal.message.starts_with("cannot kill container") {
            refusal.message.insert_str(0, &prefix);
        }
        refusal
    })
}

pub(crate) async fn remove(call: Call) -> Answer {
    let options = RemoveOptions {
        force: call.query.bool("force"),
        volumes: call.query.bool("v"),
        link: call.query.bool("link"),
    };
    done(async move { call.server.containers.remove(&call.name, options).await }).await
}

/// Rows and columns of a terminal.
pub(crate) fn size(call: &Call) -> Result<(u16, u16), Refusal> {
    let side = |name| {
        let number = call.query.number(name)?;
        number
            .ok_or_else(|| Refusal::bad(format!("{name} is missing: give the terminal's h and w")))
    };
    Ok((side("h")?, side("w")?))
}

pub(crate) async fn resize(call: Call) -> Answer {
    let (rows, columns) = size(&call)?;
    call.server
        .containers
        .resize(&call.name, rows, columns)
        .await?;
    Ok(empty(StatusCode::OK))
}

/// Since 1.30 the head is sent as soon as the wait is registered, so that a client can start the
/// container without missing its end.
pub(crate) async fn wait(call: Call) -> Answer {
    let at_once = call.since(30);
    let condition = match call.query.text("condition") {
        _ if !at_once => WaitCondition::NotRunning,
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(Refusal::bad(format!("invalid condition: {other:?}"))),
    };
    let waiting = call.server.containers.wait(&call.name, condition).await?;
    if !at_once {
        return json(StatusCode::OK, &waiting.await?);
    }
    // Older clients know no error here: they take an empty answer for one.
    let silent = condition == WaitCondition::Removed && !call.since(34);
    let answer = stream::once(waiting).filter_map(move |result| {
        let response = result.unwrap_or_else(|failure| WaitResponse {
            status_code: -1,
            error: Some(WaitError {
                message: failure.message,
            }),
        });
        std::future::ready((response.error.is_none() || !silent).then_some(response))
    });
    let body: Body = streams::lines(answer, "\n", &call.closing);
    Ok(typed(StatusCode::OK, "application/json", body))
}
