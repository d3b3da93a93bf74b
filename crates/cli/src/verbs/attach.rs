//! `attach`.

use serde_json::Value;

use super::{Context, run};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{DETACH_KEYS, Flag, Matches, switch},
    tty::{self, End, Session},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    DETACH_KEYS,
    switch("no-stdin", "Do not connect standard input"),
    switch("sig-proxy", "Pass signals on to the process").default("true"),
];

/// What the user sees after pressing the keys that detach, where docker says so.
pub(crate) const DETACHED: &str = "read escape sequence";

/// A container's description.
pub(crate) async fn describe(context: &Context, name: &str) -> Result<Value> {
    Ok(Request::get(&format!("/containers/{name}/json"))
        .decode(&context.client)
        .await?)
}

/// Whether `pointer` is true in `value`.
pub(crate) fn is(value: &Value, pointer: &str) -> bool {
    value
        .pointer(pointer)
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

/// `docker attach`.
pub(crate) async fn attach(context: &Context, m: Matches) -> Result {
    let name = &m.args[0];
    let container = describe(context, name).await?;
    if !is(&container, "/State/Running") {
        return Err(Error::msg(
            "You cannot attach to a stopped container, start it first",
        ));
    }
    if is(&container, "/State/Paused") {
        return Err(Error::msg(
            "You cannot attach to a paused container, unpause it first",
        ));
    }
    if is(&container, "/State/Restarting") {
        return Err(Error::msg(
            "You cannot attach to a restarting container, wait until it is running",
        ));
    }
    let tty = is(&container, "/Config/Tty");
    let session = Session {
        tty,
        stdin: !m.on("no-stdin") && is(&container, "/Config/OpenStdin"),
        stdout: true,
        stderr: true,
        keys: context.detach_keys(&m)?,
        // A terminal's user presses keys, which reach the process as they are.
        proxied: m.switch("sig-proxy").unwrap_or(true) && !tty,
    };
    if session.tty && session.stdin && !tty::is_terminal(std::io::stdin()) {
        return Err(Error::msg("the input device is not a TTY"));
    }
    let id = container
        .get("Id")
        .and_then(Value::as_str)
        .unwrap_or(name)
        .to_owned();
    let (connection, waiting) = tokio::join!(
        run::connect(context, &id, &session),
        // It may have ended since it was described.
        run::wait(context, &id, "not-running")
    );
    let (connection, waiting) = (connection?, waiting?);
    let redraw = async {
        if session.tty && tty::is_terminal(std::io::stdout()) {
            tty::nudge(&context.client, &tty::Target::Container(id.clone())).await;
        }
        Ok(())
    };
    let talk = session.run(connection);
    let end = with_signals(context, &id, &session, redraw, talk).await?;
    if end == End::Detached {
        return Err(Error::msg(DETACHED));
    }
    run::end_with(run::exit_code(waiting).await?)
}

/// Runs `first` and then `talk`, with signals passed on to container `id`, and in `talk` changes
/// of the terminal's size.
pub(crate) async fn with_signals(
    context: &Context,
    id: &str,
    session: &Session,
    first: impl Future<Output = Result>,
    talk: impl Future<Output = Result<End>>,
) -> Result<End> {
    let forward = forward(context, id, session);
    let resize = async {
        if session.tty && tty::is_terminal(std::io::stdout()) {
            tty::watch_size(&context.client, tty::Target::Container(id.to_owned())).await;
        }
        std::future::pending::<()>().await;
    };
    let talk = async {
        first.await?;
        tokio::select! {
            () = resize => Ok(End::Output),
            end = talk => end,
        }
    };
    tokio::select! {
        biased;
        gave_up = forward => Err(gave_up),
        end = talk => end,
    }
}

/// Passes signals on where the session wants that.
pub(crate) async fn forward(context: &Context, id: &str, session: &Session) -> Error {
    if session.proxied {
        tty::forward(&context.client, id).await
    } else {
        std::future::pending().await
    }
}
