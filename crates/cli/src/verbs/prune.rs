//! `container prune`.

use std::io::{BufRead, Write};

use serde_json::Value;
use types::container::PruneResponse;

use super::Context;
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, checks, list, switch},
    format::{output, size},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    list(
        "filter",
        "Provide filter values (e.g. \"until=<timestamp>\")",
    )
    .check(checks::filter),
    switch("force", "Do not prompt for confirmation").short('f'),
];

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

/// `docker container prune`.
pub(crate) async fn containers(context: &Context, m: Matches) -> Result {
    if !m.on("force") && !confirmed("WARNING! This will remove all stopped containers.")? {
        return Ok(());
    }
    let mut answer: Value = Request::post("/containers/prune")
        .filters(&m.all("filter"))
        .decode(&context.client)
        .await?;
    types::json::drop_nulls(&mut answer);
    let pruned: PruneResponse = serde_json::from_value(answer)
        .map_err(|e| Error::msg(format!("the daemon's answer cannot be read: {e}")))?;
    let mut text = String::new();
    if let Some(deleted) = pruned.containers_deleted.filter(|d| !d.is_empty()) {
        text = format!("Deleted Containers:\n{}\n\n", deleted.join("\n"));
    }
    let bytes = i64::try_from(pruned.space_reclaimed).unwrap_or(i64::MAX);
    output::line(&format!(
        "{text}Total reclaimed space: {}",
        size::human(bytes)
    ))
}

/// Flags of `image prune`.
pub(crate) const IMAGES: &[Flag] = &[
    switch("all", "Remove all unused images, not just dangling ones").short('a'),
    list(
        "filter",
        "Provide filter values (e.g. \"until=<timestamp>\")",
    )
    .check(checks::filter),
    switch("force", "Do not prompt for confirmation").short('f'),
];

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
    let mut filters = m.all("filter");
    filters.push(format!("dangling={}", !all));
    let mut answer: Value = Request::post("/images/prune")
        .filters(&filters)
        .decode(&context.client)
        .await?;
    types::json::drop_nulls(&mut answer);
    let pruned: types::image::ImagesPruned = serde_json::from_value(answer)
        .map_err(|e| Error::msg(format!("the daemon's answer cannot be read: {e}")))?;
    let mut text = String::new();
    if let Some(gone) = pruned.images_deleted.filter(|gone| !gone.is_empty()) {
        text.push_str("Deleted Images:\n");
        for one in gone {
            match (one.untagged, one.deleted) {
                (Some(name), _) => text.push_str(&format!("untagged: {name}\n")),
                (None, id) => text.push_str(&format!("deleted: {}\n", id.unwrap_or_default())),
            }
        }
        text.push('\n');
    }
    output::line(&format!(
        "{text}Total reclaimed space: {}",
        size::human(pruned.space_reclaimed)
    ))
}
