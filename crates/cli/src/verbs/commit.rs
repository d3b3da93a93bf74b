//! `commit` and `diff`.

use types::container::FilesystemChange;

use super::Context;
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, list, switch, text},
    format::{names::Reference, output},
};

/// Flags of `commit`.
pub(crate) const FLAGS: &[Flag] = &[
    text(
        "author",
        "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
    )
    .short('a'),
    list(
        "change",
        "Apply Dockerfile instruction to the created image",
    )
    .short('c'),
    text("message", "Commit message").short('m'),
    switch("pause", "Pause container during commit")
        .short('p')
        .default("true"),
];

/// `docker commit`.
pub(crate) async fn commit(context: &Context, m: Matches) -> Result {
    let name = m.args.get(1).map(String::as_str).unwrap_or_default();
    let (mut repo, mut tag) = (String::new(), String::new());
    if !name.is_empty() {
        let reference = Reference::parse(name).map_err(Error::msg)?;
        repo = reference.familiar_name();
        tag = reference.tag.clone().unwrap_or_default();
    }
    let mut request = Request::post("/commit")
        .query("container", &m.args[0])
        .query_text("repo", &repo)
        .query_text("tag", &tag)
        .query_text("comment", &m.text("message"))
        .query_text("author", &m.text("author"));
    if !m.switch("pause").unwrap_or(true) {
        request = request.query("pause", "0");
    }
    for change in m.all("change") {
        request = request.query("changes", &change);
    }
    let answer: serde_json::Value = request.decode(&context.client).await?;
    output::line(answer["Id"].as_str().unwrap_or_default())
}

/// `docker diff`.
pub(crate) async fn diff(context: &Context, m: Matches) -> Result {
    if m.args[0].is_empty() {
        return Err(Error::msg("Container name cannot be empty"));
    }
    let changes: Option<Vec<FilesystemChange>> =
        Request::get(&format!("/containers/{}/changes", m.args[0]))
            .decode(&context.client)
            .await?;
    let mut text = String::new();
    for change in changes.unwrap_or_default() {
        let kind = match change.kind {
            0 => 'C',
            1 => 'A',
            _ => 'D',
        };
        text.push_str(&format!("{kind} {}\n", change.path));
    }
    output::print(&text)
}
