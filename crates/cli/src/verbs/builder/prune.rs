//! `builder prune`.

use std::io::BufRead;

use serde_json::Value;
use types::build::PruneAnswer;

use super::{super::Context, unused_for};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, checks, list, switch, text},
    format::{output, size},
    verbs::lenient::lenient,
};

/// Its flags.
pub(crate) const PRUNE: &[Flag] = &[
    switch(
        "all",
        "Also what images have, too, and the builder's own notes",
    )
    .short('a'),
    list("filter", "Provide filter values (until=, id=, type=)").value("filter", checks::filter),
    switch("force", "Do not prompt for confirmation").short('f'),
    text("keep-storage", "Amount of disk space to keep for cache").value("bytes", checks::bytes),
    text(
        "reserved-space",
        "Amount of disk space always allowed to keep for cache",
    )
    .value("bytes", checks::bytes),
    text(
        "max-used-space",
        "Maximum amount of disk space allowed to keep for cache",
    )
    .value("bytes", checks::bytes),
    text(
        "min-free-space",
        "Target amount of free disk space after pruning",
    )
    .value("bytes", checks::bytes),
    switch("verbose", "Provide a more verbose output").only(&["false"]),
];

/// `docker builder prune`.
pub(crate) async fn prune(context: &Context, m: Matches) -> Result {
    let filters = filters(&m)?;
    let all = m.on("all");
    let bytes = |name: &str| m.get(name).map_or(Ok(0), size::parse).map_err(Error::msg);
    let reserved = bytes("reserved-space")?.max(bytes("keep-storage")?);
    let bounds = [
        ("keep-storage", reserved),
        ("max-used-space", bytes("max-used-space")?),
        ("min-free-space", bytes("min-free-space")?),
    ];
    if !m.on("force") && !confirmed(all)? {
        return Ok(());
    }
    // Docker's own endpoint: other daemons have it, too.
    let mut request = Request::post("/build/prune")
        .query_on("all", all)
        .filters(&filters);
    for (name, bytes) in bounds.into_iter().filter(|(_, bytes)| *bytes > 0) {
        request = request.query(name, &bytes.to_string());
    }
    let answer: Value = request.decode(&context.client).await?;
    let pruned: PruneAnswer = lenient(answer, "answer")?;
    let mut text = String::new();
    if !pruned.caches_deleted.is_empty() {
        text = format!(
            "Deleted build cache objects:\n{}\n\n",
            pruned.caches_deleted.join("\n")
        );
    }
    let bytes = size::human(pruned.space_reclaimed);
    output::print(&format!("{text}Total reclaimed space: {bytes}\n"))
}

/// The filters as the API has them. BuildKit's own compare with two signs.
fn filters(m: &Matches) -> Result<Vec<String>> {
    let read = |filter: &String| {
        let (name, value) = filter.split_once('=').unwrap_or((filter, ""));
        let value = value.trim_start_matches('=');
        match name {
            "until" | "unused-for" => unused_for(value).map(|_| format!("until={value}")),
            "id" | "type" => Ok(format!("{name}={value}")),
            other => Err(Error::msg(format!(
                "ERROR: filter {other} is not supported by wharf yet"
            ))),
        }
    };
    m.all("filter").iter().map(read).collect()
}

/// Asks in docker's words; anything but yes is no.
fn confirmed(all: bool) -> Result<bool> {
    let what = if all {
        "all build cache"
    } else {
        "all dangling build cache"
    };
    output::print(&format!(
        "WARNING! This will remove {what}. Are you sure you want to continue? [y/N] "
    ))?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|e| Error::file("read", "/dev/stdin", &e))?;
    Ok(matches!(answer.trim(), "y" | "Y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_those_of_the_api() {
        let read = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
            filters(&crate::flags::parse(&[PRUNE], true, &args).unwrap())
        };
        assert_eq!(
            read(&[
                "--filter=unused-for=1h",
                "--filter=type==regular",
                "--filter=id=x"
            ])
            .unwrap(),
            ["until=1h", "type=regular", "id=x"]
        );
        for bad in ["--filter=nosuch=1", "--filter=until=x"] {
            assert!(read(&[bad]).is_err(), "{bad}");
        }
    }
}
