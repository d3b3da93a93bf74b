//! Verbs that do one thing to each of several containers: `stop`, `restart`, `kill`, `wait`,
//! `rm`.

use futures_util::{StreamExt, stream::FuturesOrdered};

use super::{Context, run::exit_code};
use crate::{
    client::{Error as ClientError, Request},
    error::{Error, Result},
    flags::{Flag, Matches, int, switch, text},
    format::output,
    tty,
};

/// Flags of `stop` and `restart`.
pub(crate) const STOP: &[Flag] = &[
    text("signal", "The signal that asks it to stop").short('s'),
    int("timeout", "Seconds until it is killed").short('t'),
    int("time", "The same, docker's old spelling").hidden(),
];

/// Flags of `kill`.
pub(crate) const KILL: &[Flag] = &[text("signal", "The signal, by name or number").short('s')];

/// Flags of `rm`.
pub(crate) const RM: &[Flag] = &[
    switch("force", "Kill those that run").short('f'),
    switch("link", "Remove a link").short('l'),
    switch("volumes", "Remove their anonymous volumes too").short('v'),
];

/// Sends a request for each name, all at once; prints the names in order, complains of failures
/// and goes on.
pub(crate) async fn each(
    context: &Context,
    names: &[String],
    request: impl Fn(&str) -> Request,
) -> Result {
    let mut running: FuturesOrdered<_> = names
        .iter()
        .map(|name| {
            let request = request(name);
            async move { (name, request.done(&context.client).await) }
        })
        .collect();
    let mut failed = false;
    while let Some((name, answer)) = running.next().await {
        match answer {
            Ok(()) => output::line(name)?,
            Err(error) => {
                failed = true;
                output::complain(&error.to_string());
                if unreachable(&error) {
                    break;
                }
            }
        }
    }
    if failed {
        Err(Error::Status(1))
    } else {
        Ok(())
    }
}

/// One complaint about an absent daemon is enough.
fn unreachable(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Unreachable { .. } | ClientError::Permission { .. }
    )
}

async fn stop_or(context: &Context, m: &Matches, what: &str) -> Result {
    if m.get("time").is_some() {
        output::line("Flag --time has been deprecated, use --timeout instead")?;
    }
    let seconds = m
        .int("timeout")
        .or(m.int("time"))
        .map(|t| t.to_string())
        .unwrap_or_default();
    each(context, &m.args, |name| {
        Request::post(&format!("/containers/{name}/{what}"))
            .query_text("signal", &m.text("signal"))
            .query_text("t", &seconds)
    })
    .await
}

/// `docker stop`.
pub(crate) async fn stop(context: &Context, m: Matches) -> Result {
    stop_or(context, &m, "stop").await
}

/// `docker restart`.
pub(crate) async fn restart(context: &Context, m: Matches) -> Result {
    stop_or(context, &m, "restart").await
}

/// `docker kill`.
pub(crate) async fn kill(context: &Context, m: Matches) -> Result {
    each(context, &m.args, |name| {
        Request::post(&format!("/containers/{name}/kill")).query_text("signal", &m.text("signal"))
    })
    .await
}

/// `docker wait`.
pub(crate) async fn wait(context: &Context, m: Matches) -> Result {
    let mut failed = false;
    for name in &m.args {
        let code = async {
            let answer = Request::post(&format!("/containers/{name}/wait"))
                .send(&context.client)
                .await?;
            exit_code(answer).await
        };
        match tty::until_ended(code).await {
            Ok(code) => output::line(&code.to_string())?,
            Err(error @ Error::Status(_)) => return Err(error),
            Err(error) => {
                failed = true;
                output::complain(&error.to_string());
            }
        }
    }
    if failed {
        Err(Error::Status(1))
    } else {
        Ok(())
    }
}

/// `docker rm`. With `--force` it is no failure that a container is not there.
pub(crate) async fn rm(context: &Context, m: Matches) -> Result {
    let force = m.on("force");
    let mut failed = false;
    let mut running: FuturesOrdered<_> = m
        .args
        .iter()
        .map(|name| {
            let request = Request::delete(&format!("/containers/{}", name.trim_matches('/')))
                .query_on("force", force)
                .query_on("v", m.on("volumes"))
                .query_on("link", m.on("link"));
            async move { (name, request.done(&context.client).await) }
        })
        .collect();
    while let Some((name, answer)) = running.next().await {
        match answer {
            Ok(()) => output::line(name)?,
            Err(error) => {
                failed |= !(force && error.is_not_found());
                output::complain(&error.to_string());
                if unreachable(&error) {
                    break;
                }
            }
        }
    }
    if failed {
        Err(Error::Status(1))
    } else {
        Ok(())
    }
}
