//! `system prune`: removes everything that nothing uses.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Context,
    lenient::lenient,
    network::prune_networks,
    prune::{self, confirmed},
};
use crate::{
    client::Request,
    error::{Error, Result},
    flags::{Flag, Matches, checks, list, switch},
    format::{output, size},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    switch("all", "Remove all unused images not just dangling ones").short('a'),
    list(
        "filter",
        "Provide filter values (e.g. \"label=<key>=<value>\")",
    )
    .value("filter", checks::filter),
    switch("force", "Do not prompt for confirmation").short('f'),
    switch("volumes", "Prune anonymous volumes"),
];

/// What the daemon answers of volumes and the build cache.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Pruned {
    volumes_deleted: Vec<String>,
    caches_deleted: Vec<String>,
    space_reclaimed: i64,
}

/// `docker system prune`.
pub(crate) async fn prune(context: &Context, m: Matches) -> Result {
    let (all, volumes) = (m.on("all"), m.on("volumes"));
    let filters = m.all("filter");
    if volumes && filters.iter().any(|f| f.starts_with("until=")) {
        return Err(Error::msg(
            "ERROR: The \"until\" filter is not supported with \"--volumes\"",
        ));
    }
    if !m.on("force") && !confirmed(&warning(all, volumes, &filters))? {
        return Ok(());
    }
    let mut sum = 0;
    let (text, bytes) = prune::prune_containers(context, &filters).await?;
    sum += bytes;
    show(&text)?;
    show(&prune_networks(context, &filters).await?)?;
    if volumes {
        let pruned = one(context, "/volumes/prune", &filters, false).await?;
        sum += pruned.space_reclaimed;
        show(&named("Deleted Volumes:", &pruned.volumes_deleted))?;
    }
    let (text, bytes) = prune::prune_images(context, all, &filters).await?;
    sum += bytes;
    show(&text)?;
    let pruned = one(context, "/build/prune", &filters, all).await?;
    sum += pruned.space_reclaimed;
    show(&named(
        "Deleted build cache objects:",
        &pruned.caches_deleted,
    ))?;
    output::line(&format!("Total reclaimed space: {}", size::human(sum)))
}

fn show(text: &str) -> Result {
    if text.is_empty() {
        Ok(())
    } else {
        output::line(text)
    }
}

fn named(title: &str, names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("{title}\n{}\n", names.join("\n"))
    }
}

async fn one(context: &Context, path: &str, filters: &[String], all: bool) -> Result<Pruned> {
    let request = Request::post(path).query_on("all", all).filters(filters);
    let answer: Value = request.decode(&context.client).await?;
    lenient(answer, "answer")
}

/// What will go, in docker's words.
fn warning(all: bool, volumes: bool, filters: &[String]) -> String {
    let mut goes = vec![
        "all stopped containers",
        "all networks not used by at least one container",
    ];
    if volumes {
        goes.push("all anonymous volumes not used by at least one container");
    }
    goes.push(if all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    });
    goes.push(if all {
        "all build cache"
    } else {
        "unused build cache"
    });
    let mut text = "WARNING! This will remove:".to_owned();
    for one in goes {
        text.push_str(&format!("\n  - {one}"));
    }
    text.push('\n');
    let mut filters: Vec<&String> = filters.iter().collect();
    filters.sort();
    if !filters.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:");
        for filter in filters {
            text.push_str(&format!("\n  - {filter}"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_go_is_told() {
        assert_eq!(
            warning(true, true, &["label=x".to_owned()]),
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all anonymous volumes not used by at least one container\n  - all images without at least one container associated to them\n  - all build cache\n\n  Items to be pruned will be filtered with:\n  - label=x\n"
        );
        assert!(warning(false, false, &[]).ends_with("images\n  - unused build cache\n"));
    }
}
