//! `start`.

use super::{
    Context,
    attach::{describe, is, with_signals},
    run,
};
use crate::{
    error::{Error, Result},
    flags::{DETACH_KEYS, Flag, Matches, switch, text},
    format::output,
    tty::{self, End, Session},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    switch(
        "attach",
        "Connect standard output and error, and pass signals on",
    )
    .short('a'),
    text("checkpoint", "Go on from a checkpoint").only(&[""]),
    text("checkpoint-dir", "Where checkpoints are").only(&[""]),
    DETACH_KEYS,
    switch("interactive", "Connect standard input").short('i'),
];

/// `docker start`.
pub(crate) async fn start(context: &Context, m: Matches) -> Result {
    if m.on("attach") || m.on("interactive") {
        let [name] = m.args.as_slice() else {
            return Err(Error::msg(
                "you cannot start and attach multiple containers at once",
            ));
        };
        return attached(context, &m, name).await;
    }
    let mut failed = Vec::new();
    for name in &m.args {
        match run::start(context, name).await {
            Ok(()) => output::line(name)?,
            Err(e) => {
                output::complain(&e.to_string());
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::msg(format!(
            "Error: failed to start containers: {}",
            failed.join(", ")
        )))
    }
}

async fn attached(context: &Context, m: &Matches, name: &str) -> Result {
    let container = describe(context, name).await?;
    let tty = is(&container, "/Config/Tty");
    let session = Session {
        tty,
        stdin: m.on("interactive") && is(&container, "/Config/OpenStdin"),
        stdout: true,
        stderr: true,
        keys: context.detach_keys(m)?,
        proxied: !tty,
    };
    let id = container
        .get("Id")
        .and_then(serde_json::Value::as_str)
        .unwrap_or(name)
        .to_owned();
    if session.tty && session.stdin && !tty::is_terminal(std::io::stdin()) {
        return Err(Error::msg("the input device is not a TTY"));
    }
    let removed = is(&container, "/HostConfig/AutoRemove");
    let (connection, waiting) = tokio::join!(
        run::connect(context, &id, &session),
        run::wait(context, &id, run::until(removed))
    );
    let (connection, waiting) = (connection?, waiting?);
    let start = run::start(context, &id);
    let end = with_signals(context, &id, &session, start, session.run(connection)).await?;
    if end == End::Detached {
        return Ok(());
    }
    run::end_with(run::exit_code(waiting).await?)
}
