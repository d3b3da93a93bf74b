//! `container prune` and `image prune`.

use std::io::BufRead;

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
    .value("filter", checks::filter),
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
    Ok(matches!(answer.trim(), "y" | "Y"))
}

async fn ask<T: DeserializeOwned>(context: &Context, path: &str, filters: &[String]) -> Result<T> {
    let request = Request::post(path).filters(filters);
    lenient(request.decode(&context.client).await?, "answer")
}

/// `gone`, what there was of it, and the bytes.
fn tell((gone, bytes): &(String, i64)) -> Result {
    let gap = if gone.is_empty() { "" } else { "\n" };
    let bytes = size::human(*bytes);
    output::line(&format!("{gone}{gap}Total reclaimed space: {bytes}"))
}

/// Removes containers; what went, and its bytes.
pub(crate) async fn prune_containers(
    context: &Context,
    filters: &[String],
) -> Result<(String, i64)> {
    let pruned: PruneResponse = ask(context, "/containers/prune", filters).await?;
    let mut text = String::new();
    if let Some(deleted) = pruned.containers_deleted.filter(|d| !d.is_empty()) {
        text = format!("Deleted Containers:\n{}\n", deleted.join("\n"));
    }
    let bytes = i64::try_from(pruned.space_reclaimed).unwrap_or(i64::MAX);
    Ok((text, bytes))
}

/// Removes images; what went, and its bytes.
pub(crate) async fn prune_images(
    context: &Context,
    all: bool,
    filters: &[String],
) -> Result<(String, i64)> {
    let mut filters = filters.to_vec();
    filters.push(format!("dangling={}", !all));
    let pruned: ImagesPruned = ask(context, "/images/prune", &filters).await?;
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
    Ok((text, pruned.space_reclaimed))
}

/// `docker container prune`.
pub(crate) async fn containers(context: &Context, m: Matches) -> Result {
    let warning = "WARNING! This will remove all stopped containers.";
    if !m.on("force") && !confirmed(warning)? {
        return Ok(());
    }
    tell(&prune_containers(context, &m.all("filter")).await?)
}

/// `docker image prune`.
pub(crate) async fn images(context: &Context, m: Matches) -> Result {
    let all = m.on("all");
    let warning = if all {
        "WARNING! This will remove all images without at least one container associated to them."
    } else {
        "WARNING! This will remove all dangling images."
    };
    if !m.on("force") && !confirmed(warning)? {
        return Ok(());
    }
    tell(&prune_images(context, all, &m.all("filter")).await?)
}
