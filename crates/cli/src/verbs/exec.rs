//! `exec`.

use serde_json::{Value, json};
use types::exec::ExecConfig;

use super::{
    Context,
    attach::{DETACHED, describe},
    run::end_with,
    spec::env,
};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{DETACH_KEYS, Flag, Matches, checks, list, switch, text},
    tty::{self, End, Session},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    switch("detach", "Leave the command running").short('d'),
    DETACH_KEYS,
    list("env", "Set an environment variable")
        .short('e')
        .check(checks::env),
    list("env-file", "Set the environment variables in this file"),
    switch("interactive", "Keep standard input open").short('i'),
    switch("privileged", "Give the command every capability"),
    switch("tty", "Give the command a terminal").short('t'),
    text("user", "User that it runs as, <name|uid>[:<group|gid>]").short('u'),
    text("workdir", "Its working directory").short('w'),
];

/// `docker exec`.
pub(crate) async fn exec(context: &Context, m: Matches) -> Result {
    let detach = m.on("detach");
    let (name, command) = m
        .args
        .split_first()
        .ok_or_else(|| Error::msg("no container was named"))?;
    let size = tty::size().filter(|_| m.on("tty"));
    let config = ExecConfig {
        user: m.text("user"),
        privileged: m.on("privileged"),
        tty: m.on("tty"),
        console_size: size.map(|(rows, columns)| [rows, columns]),
        attach_stdin: !detach && m.on("interactive"),
        attach_stdout: !detach,
        attach_stderr: !detach,
        detach_keys: context.detach_keys(&m)?,
        env: env::variables(&m.all("env-file"), &m.all("env"))?,
        working_dir: m.text("workdir"),
        cmd: command.to_vec(),
    };
    if config.tty && config.attach_stdin && !tty::is_terminal(std::io::stdin()) {
        // A wrong name is the more useful complaint.
        describe(context, name).await?;
        return Err(Error::msg("the input device is not a TTY"));
    }
    let created: Value = Request::post(&format!("/containers/{name}/exec"))
        .json(&config)
        .decode(&context.client)
        .await?;
    let id = created
        .get("Id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if id.is_empty() {
        return Err(Error::msg("exec ID empty"));
    }
    let start = Request::post(&format!("/exec/{id}/start")).json(&json!({
        "Detach": detach, "Tty": config.tty, "ConsoleSize": config.console_size,
    }));
    if detach {
        return Ok(start.done(&context.client).await?);
    }
    let connection = start.hijack(&context.client).await?;
    let session = Session {
        tty: config.tty,
        stdin: config.attach_stdin,
        stdout: true,
        stderr: true,
        keys: config.detach_keys,
        proxied: false,
    };
    let resize = async {
        if session.tty && tty::is_terminal(std::io::stdout()) {
            tty::watch_size(&context.client, tty::Target::Exec(id.clone())).await;
        }
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = session.run(connection) => end?,
        () = resize => End::Output,
    };
    if end == End::Detached {
        return Err(Error::msg(DETACHED));
    }
    let ended: Value = Request::get(&format!("/exec/{id}/json"))
        .decode(&context.client)
        .await?;
    end_with(ended.get("ExitCode").and_then(Value::as_i64).unwrap_or(0))
}
