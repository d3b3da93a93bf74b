//! `rmi`, `tag`, `load`, `import`.

use types::image::ImageDeleted;

use super::{Context, Show};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, list, switch, text},
    format::{names::Reference, output},
    progress, tty,
};

/// Flags of `rmi`.
pub(crate) const RM: &[Flag] = &[
    switch("force", "Also where containers use it").short('f'),
    switch(
        "no-prune",
        "Keep the images without a name that it was built on",
    ),
    list("platform", "Only this platform")
        .value("strings", crate::flags::checks::any)
        .only(&[]),
];

/// Flags of `load`.
pub(crate) const LOAD: &[Flag] = &[
    text("input", "Read this file, not standard input").short('i'),
    text(
        "platform",
        "Load only the given platform. Formatted as \"os[/arch[/variant]]\"",
    ),
    switch("quiet", "Do not show progress").short('q'),
];

/// Flags of `import`.
pub(crate) const IMPORT: &[Flag] = &[
    list("change", "A Dockerfile's instruction to apply").short('c'),
    text("message", "The image's commit message").short('m'),
    text("platform", "Platform of the image"),
];

/// `docker rmi`.
pub(crate) async fn rm(context: &Context, m: Matches) -> Result {
    let force = m.on("force");
    let mut failed = false;
    for name in &m.args {
        let answer = Request::delete(&format!("/images/{name}"))
            .query_on("force", force)
            .query_on("noprune", m.on("no-prune"))
            .decode::<Vec<ImageDeleted>>(&context.client)
            .await;
        match answer {
            Ok(gone) => {
                for item in gone {
                    if let Some(id) = item.deleted {
                        output::line(&format!("Deleted: {id}"))?;
                    } else if let Some(name) = item.untagged {
                        output::line(&format!("Untagged: {name}"))?;
                    }
                }
            }
            Err(e) => {
                failed |= !(force && e.is_not_found());
                output::complain(&e.to_string());
            }
        }
    }
    if failed {
        Err(Error::Status(1))
    } else {
        Ok(())
    }
}

/// `docker tag`.
pub(crate) async fn tag(context: &Context, m: Matches) -> Result {
    let reference = Reference::parse(&m.args[1]).map_err(|e| {
        Error::msg(format!(
            "Error parsing reference: \"{}\" is not a valid repository/tag: {e}",
            m.args[1]
        ))
    })?;
    if reference.digest.is_some() {
        return Err(Error::msg(
            "refusing to create a tag with a digest reference",
        ));
    }
    Ok(Request::post(&format!("/images/{}/tag", m.args[0]))
        .query("repo", &reference.familiar_name())
        .query("tag", reference.tag.as_deref().unwrap_or("latest"))
        .done(&context.client)
        .await?)
}

/// `docker load`.
pub(crate) async fn load(context: &Context, m: Matches) -> Result {
    let quiet = m.on("quiet") || !tty::is_terminal(std::io::stdout());
    let request = Request::post("/images/load")
        .query("quiet", if quiet { "1" } else { "0" })
        .query_platform(&m.text("platform"));
    let input = m.text("input");
    let request = if !input.is_empty() {
        let file = tokio::fs::File::open(&input)
            .await
            .map_err(|e| Error::file("open", &input, &e))?;
        request.stream(file)
    } else if tty::is_terminal(std::io::stdin()) {
        return Err(Error::msg("requested load from stdin, but stdin is empty"));
    } else {
        request.stream(tokio::io::stdin())
    };
    let answer = request.send(&context.client).await?;
    if answer
        .header("content-type")
        .is_some_and(|t| t.starts_with("application/json"))
    {
        return progress::follow(answer, Show::OnStdout).await;
    }
    let text = answer.bytes().await?;
    output::print(&String::from_utf8_lossy(&text))
}

/// `docker import`.
pub(crate) async fn import(context: &Context, m: Matches) -> Result {
    let source = &m.args[0];
    let reference = m.args.get(1).map(String::as_str).unwrap_or_default();
    if m.args.len() > 2 {
        return Err(Error::msg("import takes one source and one name"));
    }
    if !reference.is_empty() {
        Reference::parse(reference).map_err(Error::msg)?;
    }
    let remote = source.starts_with("http://") || source.starts_with("https://");
    let mut request = Request::post("/images/create")
        .query("fromSrc", if remote { source } else { "-" })
        .query_text("repo", reference)
        .query_text("message", &m.text("message"))
        .query_text("platform", &m.text("platform"));
    for change in m.all("change") {
        request = request.query("changes", &change);
    }
    let request = if remote {
        request
    } else if source == "-" {
        request.stream(tokio::io::stdin())
    } else {
        let file = tokio::fs::File::open(source)
            .await
            .map_err(|e| Error::file("open", source, &e))?;
        request.stream(file)
    };
    let answer = request.send(&context.client).await?;
    progress::follow(answer, Show::OnStdout).await
}
