//! `push`.

use super::{Context, Show};
use crate::{
    client::Request,
    config,
    error::{Error, Result},
    flags::{Flag, Matches, switch, text},
    format::{names::Reference, output},
    progress,
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    switch("all-tags", "Push all tags of an image to the repository").short('a'),
    switch("disable-content-trust", "Skip image signing")
        .default("true")
        .only(&["true"]),
    text(
        "platform",
        "Push a platform-specific manifest as a single-platform image to the registry.",
    ),
    switch("quiet", "Suppress verbose output").short('q'),
];

/// `docker push`.
pub(crate) async fn push(context: &Context, m: Matches) -> Result {
    let reference = Reference::parse(&m.args[0]).map_err(Error::msg)?;
    let (all, quiet) = (m.on("all-tags"), m.on("quiet"));
    let bare = reference.tag.is_none() && reference.digest.is_none();
    if all && !bare {
        return Err(Error::msg("tag can't be used with --all-tags/-a"));
    }
    if reference.digest.is_some() {
        return Err(Error::msg("cannot push a digest reference"));
    }
    if !all && bare && !quiet {
        output::line("Using default tag: latest")?;
    }
    let tag = match (&reference.tag, all) {
        (_, true) => "",
        (Some(tag), false) => tag,
        (None, false) => "latest",
    };
    let server = config::server(&reference.domain);
    let auth = context.config.credentials().get(server)?;
    let answer = Request::post(&format!("/images/{}/push", reference.full_name()))
        .query_text("tag", tag)
        .query_platform(&m.text("platform"))
        // Older daemons want it, be it empty.
        .registry_auth(Some(&auth.unwrap_or_default()))
        .send(&context.client)
        .await?;
    let show = if quiet { Show::Nothing } else { Show::OnStdout };
    progress::follow(answer, show).await?;
    if quiet {
        let name = reference.full_name();
        let shown = if all { name } else { format!("{name}:{tag}") };
        output::line(&shown)?;
    }
    Ok(())
}
