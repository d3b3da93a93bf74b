//! `builder prune`.

use std::io::BufRead;

use serde_json::Value;
use types::build::{PruneAnswer, PruneRequest};

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
        "Include internal/frontend images: cache mounts, and what newer results rest on",
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
    .value("bytes", checks::bytes)
    .only(&["0"]),
    text(
        "min-free-space",
        "Target amount of free disk space after pruning",
    )
    .value("bytes", checks::bytes)
    .only(&["0"]),
    switch("verbose", "Provide a more verbose output").only(&["false"]),
];

/// `docker builder prune`.
pub(crate) async fn prune(context: &Context, m: Matches) -> Result {
    let request = request(&m)?;
    if !m.on("force") && !confirmed(request.all)? {
        return Ok(());
    }
    let answer: Value = Request::post("/wharf/build/prune")
        .json(&request)
        .decode(&context.client)
        .await?;
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

fn request(m: &Matches) -> Result<PruneRequest> {
    let mut request = PruneRequest {
        all: m.on("all"),
        ..PruneRequest::default()
    };
    let kept = m.get("reserved-space").or_else(|| m.get("keep-storage"));
    if let Some(kept) = kept {
        request.keep = size::parse(kept).map_err(Error::msg)?;
    }
    for filter in m.all("filter") {
        let (name, value) = filter.split_once('=').unwrap_or((&filter, ""));
        // BuildKit's own filters compare with two signs.
        let value = value.trim_start_matches('=');
        match name {
            "until" | "unused-for" => request.unused_for = unused_for(value)?,
            "id" => request.ids.push(value.to_owned()),
            "type" => request.kinds.push(value.to_owned()),
            other => {
                return Err(Error::msg(format!(
                    "ERROR: filter {other} is not supported by wharf yet"
                )));
            }
        }
    }
    Ok(request)
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
    fn flags_become_a_request() {
        let read = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
            request(&crate::flags::parse(&[PRUNE], true, &args).unwrap())
        };
        let all = read(&[
            "-a",
            "--filter=until=1h",
            "--filter=type=regular",
            "--filter=id=x",
            "--keep-storage=1kb",
        ])
        .unwrap();
        assert_eq!(
            all,
            PruneRequest {
                all: true,
                keep: 1024,
                unused_for: 3600,
                ids: vec!["x".into()],
                kinds: vec!["regular".into()],
            }
        );
        assert!(
            read(&["--filter=nosuch=1"])
                .unwrap_err()
                .to_string()
                .contains("nosuch")
        );
    }
}
