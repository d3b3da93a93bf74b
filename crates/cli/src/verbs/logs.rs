//! `logs`.

use super::{
    Context,
    attach::{describe, is},
};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, switch, text},
    format::time,
    tty::{self, Writer},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    switch(
        "details",
        "Show the labels and variables that were logged too",
    ),
    switch("follow", "Go on with what comes").short('f'),
    text(
        "since",
        "Nothing older: a time (2026-01-31T13:23:37Z), or a duration back from now (42m)",
    ),
    text("tail", "Only so many last lines")
        .short('n')
        .default("\"all\""),
    switch("timestamps", "Show when each line was written").short('t'),
    text(
        "until",
        "Nothing newer: a time (2026-01-31T13:23:37Z), or a duration back from now (42m)",
    ),
];

/// `docker logs`.
pub(crate) async fn logs(context: &Context, m: Matches) -> Result {
    let name = &m.args[0];
    let since = time::bound(&m.text("since"))
        .map_err(|e| Error::msg(format!("invalid value for \"since\": {e}")))?;
    let until = time::bound(&m.text("until"))
        .map_err(|e| Error::msg(format!("invalid value for \"until\": {e}")))?;
    let request = Request::get(&format!("/containers/{name}/logs"))
        .query("stdout", "1")
        .query("stderr", "1")
        .query_on("follow", m.on("follow"))
        .query_on("timestamps", m.on("timestamps"))
        .query_on("details", m.on("details"))
        .query_text("since", &since)
        .query_text("until", &until)
        .query("tail", m.get("tail").unwrap_or("all"));
    // Whether the container has a terminal decides the stream's form; both are asked at once.
    let (container, answer) = tokio::join!(describe(context, name), request.send(&context.client));
    let container = container?;
    let mut answer = answer?;
    let mut writer = Writer::new(is(&container, "/Config/Tty"), true, true);
    let show = async {
        while let Some(chunk) = answer.chunk().await? {
            writer.write(&chunk).await?;
        }
        Ok(())
    };
    tty::until_ended(show).await
}
