//! `run`.
//!
//! Attaching and waiting are asked for before the start, so that neither output nor the exit
//! code can be missed; both at once, on connections opened while the container is made.

use types::container::WaitResponse;

use super::{
    Context,
    attach::forward,
    create::{as_run, make, prepare},
};
use crate::{
    client::{Answer, Error as ClientError, Request},
    error::{Error, Result},
    flags::Matches,
    format::output,
    tty::{self, End, Session},
};

/// `docker run`.
pub(crate) async fn run(context: &Context, m: Matches) -> Result {
    let detach = m.on("detach");
    let mut request = prepare(context, &m).map_err(|e| as_run(e, 125))?;
    if detach {
        if !m.all("attach").is_empty() {
            return Err(Error::msg(
                "conflicting options: cannot specify both --attach and --detach",
            ));
        }
        let config = &mut request.config;
        config.attach_stdin = false;
        config.attach_stdout = false;
        config.attach_stderr = false;
        config.stdin_once = false;
    } else if request.config.tty
        && request.config.attach_stdin
        && !tty::is_terminal(std::io::stdin())
    {
        return Err(Error::msg("the input device is not a TTY"));
    }
    let made = make(context, &m, &request);
    let id = if detach {
        made.await
    } else {
        let warm = async {
            context.client.warm().await;
            context.client.warm().await;
        };
        let (made, ()) = tokio::join!(made, warm);
        made
    }
    .map_err(failed)?;
    if detach {
        start(context, &id).await.map_err(failed)?;
        return output::line(&id);
    }
    let session = Session {
        tty: request.config.tty,
        stdin: request.config.attach_stdin,
        stdout: request.config.attach_stdout,
        stderr: request.config.attach_stderr,
        keys: context.detach_keys(&m)?,
        proxied: m.switch("sig-proxy").unwrap_or(true),
    };
    let removed = request.host_config.auto_remove;
    if !(session.stdout || session.stderr) {
        // The identifier is all there is to see.
        output::line(&id)?;
    }
    converse(context, &id, &session, removed).await
}

/// docker's exit code for a container that could not be made or started.
fn failed(error: Error) -> Error {
    let text = error.to_string();
    let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
    let code = if has(&["executable file not found", "no such file or directory"]) {
        127
    } else if has(&["permission denied", "is a directory"])
        && matches!(error, Error::Client(ClientError::Daemon { .. }))
    {
        126
    } else {
        125
    };
    as_run(error, code)
}

/// Starts the container `id`.
pub(crate) async fn start(context: &Context, id: &str) -> Result {
    Request::post(&format!("/containers/{id}/start"))
        .done(&context.client)
        .await?;
    Ok(())
}

/// What to wait for where a container is about to be started: its next end, or the end of its
/// removal where it goes away by itself.
pub(crate) fn until(removed: bool) -> &'static str {
    if removed { "removed" } else { "next-exit" }
}

/// Asks for the end of container `id`; the answer comes when `condition` holds.
pub(crate) async fn wait<'c>(
    context: &'c Context,
    id: &str,
    condition: &str,
) -> Result<Answer<'c>> {
    Ok(Request::post(&format!("/containers/{id}/wait"))
        .query("condition", condition)
        .send(&context.client)
        .await?)
}

/// The exit code that `answer` brings.
pub(crate) async fn exit_code(mut answer: Answer<'_>) -> Result<i64> {
    let Some(mut value) = answer.next::<serde_json::Value>().await? else {
        return Err(Error::msg(
            "the daemon closed the connection before the container ended",
        ));
    };
    types::json::drop_nulls(&mut value);
    let end: WaitResponse = serde_json::from_value(value).map_err(|e| {
        Error::msg(format!(
            "{}: the daemon's answer cannot be read: {e}",
            answer.what
        ))
    })?;
    match end.error.filter(|e| !e.message.is_empty()) {
        Some(e) => Err(Error::msg(format!(
            "Error waiting for container: {}",
            e.message
        ))),
        None => Ok(end.status_code),
    }
}

/// An exit code as an end of the program.
pub(crate) fn end_with(code: i64) -> Result {
    match code {
        0 => Ok(()),
        code => Err(Error::Status(u8::try_from(code & 255).unwrap_or(255))),
    }
}

/// Connects to `id`'s streams.
pub(crate) async fn connect(
    context: &Context,
    id: &str,
    session: &Session,
) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + use<>> {
    Ok(Request::post(&format!("/containers/{id}/attach"))
        .query("stream", "1")
        .query_on("stdin", session.stdin)
        .query_on("stdout", session.stdout)
        .query_on("stderr", session.stderr)
        .query_text("detachKeys", &session.keys)
        .hijack(&context.client)
        .await?)
}

/// Starts container `id` and stays with it to its end.
async fn converse(context: &Context, id: &str, session: &Session, removed: bool) -> Result {
    let attached = session.stdin || session.stdout || session.stderr;
    let attach = async {
        if attached {
            connect(context, id, session).await.map(Some)
        } else {
            Ok(None)
        }
    };
    let (connection, waiting) = tokio::join!(attach, wait(context, id, until(removed)));
    let (connection, waiting) = (connection.map_err(failed)?, waiting.map_err(failed)?);
    // Registered before the start: a signal that arrives in between must not end us.
    let forward = forward(context, id, session);
    let talk = async {
        if let Err(error) = start(context, id).await {
            drop(connection);
            if removed {
                // It goes away by itself; nobody should see it half gone.
                let _ = exit_code(waiting).await;
            }
            return Err(failed(error));
        }
        if let Some(connection) = connection {
            let resize = async {
                if session.tty && tty::is_terminal(std::io::stdout()) {
                    let target = tty::Target::Container(id.to_owned());
                    tty::watch_size(&context.client, target).await;
                }
                std::future::pending::<()>().await;
            };
            let mut code = std::pin::pin!(exit_code(waiting));
            let end = tokio::select! {
                end = session.run(connection) => end?,
                () = resize => End::Output,
                // Without output to read to its end, nothing else tells of the container's.
                code = &mut code, if !(session.stdout || session.stderr) => return end_with(code?),
            };
            if end == End::Detached {
                return Ok(());
            }
            return end_with(code.await?);
        }
        end_with(exit_code(waiting).await?)
    };
    tokio::select! {
        biased;
        gave_up = forward => Err(gave_up),
        end = talk => end,
    }
}
