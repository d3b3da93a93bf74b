//! What a container's first process wrote and writes: logs and attach.

use axum::http::StatusCode;
use futures_util::FutureExt;
use types::Failure;

use crate::{
    answer::{Answer, typed},
    backend::{AttachOptions, LogsOptions},
    detach::Escape,
    dispatch::Call,
    error::Refusal,
    hijack::Takeover,
    stream::{self, MULTIPLEXED, RAW},
};

pub(crate) async fn logs(call: Call) -> Answer {
    let query = &call.query;
    let (stdout, stderr) = (query.bool("stdout"), query.bool("stderr"));
    if !stdout && !stderr {
        return Err(Refusal::bad(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    // What is no number, or a negative one, stands for all, as for Docker.
    let tail: Option<usize> = query.text("tail").parse().ok();
    let options = LogsOptions {
        stdout,
        stderr,
        follow: query.bool("follow"),
        since: query.time("since")?.filter(|t| *t != 0),
        until: query.time("until")?.filter(|t| *t != 0),
        tail,
        details: query.bool("details"),
        timestamps: query.bool("timestamps"),
    };
    let output = call.server.containers.logs(&call.name, options).await?;
    let media = if !output.tty && call.since(42) {
        MULTIPLEXED
    } else {
        RAW
    };
    let body = stream::output(output, &call.closing);
    Ok(typed(StatusCode::OK, media, body))
}

pub(crate) async fn attach(call: Call) -> Answer {
    let query = &call.query;
    let keys = query.text("detachKeys");
    let escape = Escape::new(keys)?;
    let options = AttachOptions {
        logs: query.bool("logs"),
        stream: query.bool("stream"),
        stdin: query.bool("stdin"),
        stdout: query.bool("stdout"),
        stderr: query.bool("stderr"),
    };
    connected(&call)?;
    let attachment = call.server.containers.attach(&call.name, options).await?;
    let tty = attachment.output.tty;
    let attachment = std::future::ready(Ok(attachment)).boxed();
    let takeover = Takeover::new(&call, tty, attachment, escape);
    take_over(call, takeover).await
}

/// Refuses before anything is started where there is no connection to hand over.
pub(crate) fn connected(call: &Call) -> Result<(), Refusal> {
    match call.connection {
        Some(_) => Ok(()),
        None => Err(Failure::system("this server cannot hand over its connections").into()),
    }
}

/// Does not return: the connection becomes a process's streams.
pub(crate) async fn take_over(call: Call, takeover: Takeover) -> Answer {
    connected(&call)?;
    if let Some(approved) = &call.approved {
        let (status, headers) = takeover.shown();
        approved.head(*status, headers).await?;
    }
    if let Some(connection) = call.connection {
        connection.take_over(takeover).await;
    }
    Err(Failure::system("the connection ended while it was handed over").into())
}
