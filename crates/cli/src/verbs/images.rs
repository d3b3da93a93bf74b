//! `images`.

use serde_json::{Value, json};
use types::{id, image::ImageSummary};

use super::{Context, lenient::items};
use crate::{
    client::Request,
    error::Result,
    flags::{FILTER, FORMAT_TABLE, Flag, Matches, switch},
    format::{ago, output, size, template, time},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    switch("all", "Images without a name that others are built on too").short('a'),
    switch("digests", "Show digests"),
    FILTER,
    FORMAT_TABLE,
    switch("no-trunc", "Show everything in full"),
    switch("quiet", "Show only IDs").short('q'),
    switch("tree", "Platforms of an image as a tree").only(&["false"]),
];

/// Headers of its fields.
pub(super) const HEADERS: &[(&str, &str)] = &[
    ("Containers", "CONTAINERS"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("SharedSize", "SHARED SIZE"),
    ("Size", "SIZE"),
    ("Tag", "TAG"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];

const NONE: &str = "<none>";

/// `docker images`.
pub(crate) async fn images(context: &Context, m: Matches) -> Result {
    let mut filters = m.all("filter");
    filters.extend(m.args.first().map(|name| format!("reference={name}")));
    let list: Vec<Value> = Request::get("/images/json")
        .query_on("all", m.on("all"))
        .filters(&filters)
        .decode(&context.client)
        .await?;
    let images: Vec<ImageSummary> = items(list)?;
    let format = match m.get("format") {
        Some(format) => format.to_owned(),
        None if m.on("quiet") => String::new(),
        None => context.config.text("imagesFormat"),
    };
    let by_digest = m.on("digests") || format.contains("{{.Digest}}");
    let now = time::now();
    let rows: Vec<Value> = images
        .iter()
        .flat_map(|i| rows(i, by_digest, m.on("no-trunc"), now))
        .collect();
    if m.on("quiet") && m.get("format").is_none() {
        let ids: String = rows
            .iter()
            .map(|r| format!("{}\n", r["ID"].as_str().unwrap_or_default()))
            .collect();
        return output::print(&ids);
    }
    let digest = if m.on("digests") { "{{.Digest}}\t" } else { "" };
    let columns = format!(
        "table {{{{.Repository}}}}\t{{{{.Tag}}}}\t{digest}{{{{.ID}}}}\t{{{{if .CreatedSince }}}}{{{{.CreatedSince}}}}{{{{else}}}}N/A{{{{end}}}}\t{{{{.Size}}}}"
    );
    let raw = format!(
        "repository: {{{{.Repository}}}}\ntag: {{{{.Tag}}}}\n{}image_id: {{{{.ID}}}}\n\
         created_at: {{{{.CreatedAt}}}}\nvirtual_size: {{{{.Size}}}}\n",
        if m.on("digests") {
            "digest: {{.Digest}}\n"
        } else {
            ""
        }
    );
    let format = match format.as_str() {
        "raw" if m.on("quiet") => "image_id: {{.ID}}",
        "raw" => &raw,
        format => format,
    };
    output::print(&template::rows(format, &columns, HEADERS, &rows)?)
}

/// A row for each name.
pub(super) fn rows(image: &ImageSummary, by_digest: bool, full: bool, now: i64) -> Vec<Value> {
    let mut names: Vec<(String, String, String)> = Vec::new();
    let digest_of = |repository: &str| {
        image
            .repo_digests
            .iter()
            .filter_map(|d| d.split_once('@'))
            .find(|(r, d)| *r == repository && *d != NONE)
            .map_or(NONE.to_owned(), |(_, d)| d.to_owned())
    };
    for name in image.repo_tags.iter().filter(|t| *t != "<none>:<none>") {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, NONE));
        let digest = if by_digest {
            digest_of(repository)
        } else {
            NONE.to_owned()
        };
        names.push((repository.to_owned(), tag.to_owned(), digest));
    }
    if names.is_empty() {
        let mut untagged: Vec<(&str, &str)> = image
            .repo_digests
            .iter()
            .filter_map(|d| d.split_once('@'))
            .filter(|(repository, _)| *repository != NONE)
            .collect();
        if !by_digest {
            untagged.dedup_by_key(|(repository, _)| *repository);
        }
        for (repository, digest) in untagged {
            names.push((repository.to_owned(), NONE.to_owned(), digest.to_owned()));
        }
    }
    if names.is_empty() {
        names.push((NONE.to_owned(), NONE.to_owned(), NONE.to_owned()));
    }
    names
        .into_iter()
        .map(|(repository, tag, digest)| {
            json!({
                "Containers": if image.containers < 0 { "N/A".to_owned() } else { image.containers.to_string() },
                "CreatedAt": time::go(image.created),
                "CreatedSince": ago::since(image.created, now),
                "Digest": digest,
                "ID": if full { &image.id } else { id::short(&image.id) },
                "Repository": repository,
                "SharedSize": known(image.shared_size),
                "Size": size::human3(image.size),
                "Tag": tag,
                "UniqueSize": if image.shared_size < 0 { "N/A".to_owned() } else { size::human(image.size - image.shared_size) },
                "VirtualSize": size::human(image.size),
            })
        })
        .collect()
}

fn known(bytes: i64) -> String {
    if bytes < 0 {
        "N/A".to_owned()
    } else {
        size::human(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_row_for_each_name() {
        let image: ImageSummary = serde_json::from_value(json!({
            "Id": "sha256:0123456789abcdef", "RepoTags": ["a:1", "reg:5000/b:2"],
            "RepoDigests": ["a@sha256:dd"], "Size": 1_982_345, "Containers": -1, "SharedSize": -1,
        }))
        .unwrap();
        let all = rows(&image, true, false, 0);
        assert_eq!(all.len(), 2);
        assert_eq!(
            (&all[0]["Digest"], &all[1]["Digest"]),
            (&json!("sha256:dd"), &json!(NONE))
        );
        assert_eq!(
            (&all[1]["Repository"], &all[1]["Tag"]),
            (&json!("reg:5000/b"), &json!("2"))
        );
        assert_eq!(
            (&all[0]["Size"], &all[0]["VirtualSize"]),
            (&json!("1.98MB"), &json!("1.982MB"))
        );
        let bare = ImageSummary {
            repo_tags: Vec::new(),
            ..image
        };
        assert_eq!(rows(&bare, false, true, 0)[0]["Tag"], NONE);
    }
}
