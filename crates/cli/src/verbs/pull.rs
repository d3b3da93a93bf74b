//! `pull`, and the pull that `run` needs.

use super::Context;
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
    switch("all-tags", "Every tag of the repository").short('a'),
    switch(
        "disable-content-trust",
        "Skip the verification of signatures",
    )
    .default("true")
    .only(&["true"]),
    text("platform", "The platform of the image, os[/arch[/variant]]"),
    switch("quiet", "Show only the name of what was fetched").short('q'),
];

/// Where a pull's progress is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Nowhere.
    Nothing,
    /// Standard output.
    OnStdout,
    /// Standard error.
    OnStderr,
}

/// `docker pull`.
pub(crate) async fn pull(context: &Context, m: Matches) -> Result {
    let reference = Reference::parse(&m.args[0]).map_err(Error::msg)?;
    let (quiet, all) = (m.on("quiet"), m.on("all-tags"));
    let bare = reference.tag.is_none() && reference.digest.is_none();
    if all && !bare {
        return Err(Error::msg("tag can't be used with --all-tags/-a"));
    }
    if !all && !quiet && bare {
        output::line("Using default tag: latest")?;
    }
    let show = if quiet { Show::Nothing } else { Show::OnStdout };
    let platform = m.text("platform");
    if all {
        ask(context, &reference, "", &platform, show).await?;
        return output::line(&reference.full_name());
    }
    fetch(context, &reference, &platform, show).await?;
    output::line(&reference.full())
}

/// Fetches `reference`.
pub(crate) async fn fetch(
    context: &Context,
    reference: &Reference,
    platform: &str,
    show: Show,
) -> Result {
    let tag = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.as_str(),
        (None, Some(tag)) => tag,
        (None, None) => "latest",
    };
    ask(context, reference, tag, platform, show).await
}

async fn ask(
    context: &Context,
    reference: &Reference,
    tag: &str,
    platform: &str,
    show: Show,
) -> Result {
    let server = config::server(&reference.domain);
    let auth = context.config.credentials().get_or_none(server);
    let answer = Request::post("/images/create")
        .query("fromImage", &reference.familiar_name())
        .query_text("tag", tag)
        .query_text("platform", platform)
        .registry_auth(auth.as_ref())
        .send(&context.client)
        .await?;
    progress::follow(answer, show).await
}
