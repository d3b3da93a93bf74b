//! `container prune` and `image prune`.

use std::io::{BufRead, Write};

use serde::de::DeserializeOwned;
use types::{container::PruneResponse, image::ImagesPruned};

use super::{Context, lenient::lenient};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, checks, list, switch},
    format::{output, size},
};

/// Flags of every `prune`.
pub(crate) const FLAGS: &[Flag] = &[
    list(
        "filter",
        "Provide filter values (e.g. \"until=<timestamp>\")",
    )
    .check(checks::filter),
    switch("force", "Do not prompt for confirmation").short('f'),
];

/// What `image prune` has besides.
pub(crate) const IMAGES: &[Flag] =
    &[switch("all", "Remove all unused images, not just dangling ones").short('a')];

/// Asks before something that cannot be undone; anything but yes is no, as the end of input is.
pub(crate) fn confirmed(warning: &str) -> Result<bool> {
    output::print(&format!(
        "{warning}\nAre you sure you want to continue? [y/N] "
    ))?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|e| Error::file("read", "/dev/stdin", &e))?;
    if answer.is_empty() {
        // Where there is nobody the line is not ended by an answer.
        output::line("")?;
    }
    // What cannot be flushed was not asked for.
    let _ = std::io::stdout().flush();
    Ok(matches!(answer.trim(), "y" | "Y"))
}

/// Removes what `path` removes; none where the user thought better of it.
async fn prune<T: DeserializeOwned>(
    context: &Context,
    m: &Matches,
    warning: &str,
    path: &str,
    filters: &[String],
) -> Result<Option<T>> {
    if !m.on("force") && !confirmed(warning)? {
        return Ok(None);
    }
    let request = Request::post(path).filters(filters);
    lenient(request.decode(&context.client).await?, "answer").map(Some)
}

/// `gone`, what there was of it, and the bytes.
fn tell(gone: &str, bytes: i64) -> Result {
    let gap = if gone.is_empty() { "" } else { "\n" };
    let bytes = size::human(bytes);
    output::line(&format!("{gone}{gap}Total reclaimed space: {bytes}"))
}

/// `docker container prune`.
pub(crate) async fn containers(context: &Context, m: Matches) -> Result {
    let warning = "WARNING! This will remove all stopped containers.";
    let (path, filters) = ("/containers/prune", m.all("filter"));
    let Some(pruned) = prune::<PruneResponse>(context, &m, warning, path, &filters).await? else {
        return Ok(());
    };
    let mut text = String::new();
    if let Some(deleted) = pruned.containers_deleted.filter(|d| !d.is_empty()) {
        text = format!("Deleted Containers:\n{}\n", deleted.join("\n"));
    }
    tell(
        &text,
        i64::try_from(pruned.space_reclaimed).unwrap_or(i64::MAX),
    )
}

/// `docker image prune`.
pub(crate) async fn images(context: &Context, m: Matches) -> Result {
    let all = m.on("all");
    let warning = if all {
        "WARNING! This will remove all images without at least one container associated to them."
    } else {
        "WARNING! This will remove all dangling images."
    };
    let mut filters = m.all("filter");
    filters.push(format!("dangling={}", !all));
    let path = "/images/prune";
    let Some(pruned) = prune::<ImagesPruned>(context, &m, warning, path, &filters).await? else {
        return Ok(());
    };
    let mut text = String::new();
    for one in pruned.images_deleted.into_iter().flatten() {
        if text.is_empty() {
            text.push_str("Deleted Images:\n");
        }
        match (one.untagged, one.deleted) {
            (Some(name), _) => text.push_str(&format!("untagged: {name}\n")),
            (None, id) => text.push_str(&format!("deleted: {}\n", id.unwrap_or_default())),
        }
    }
    tell(&text, pruned.space_reclaimed)
}
