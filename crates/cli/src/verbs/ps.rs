//! `ps`.

use serde_json::{Value, json};
use types::{container::ContainerSummary, id};

use super::{Context, lenient::items};
use crate::{
    client::Request,
    error::Result,
    flags::{FILTER, FORMAT_TABLE, Flag, Matches, int, switch},
    format::{ago, ellipsis, output, ports, quote, size, template, time},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    switch("all", "Those that do not run too").short('a'),
    FILTER,
    FORMAT_TABLE,
    int("last", "The newest so many, running or not")
        .short('n')
        .default("-1"),
    switch("latest", "The newest, running or not").short('l'),
    switch("no-trunc", "Show everything in full"),
    switch("quiet", "Show only IDs").short('q'),
    switch("size", "Show how much they hold on disk").short('s'),
];

/// What `--format raw` means.
const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n\
    created_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\n\
    names: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

const COLUMNS: &str =
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

/// Headers of its fields.
pub(super) const HEADERS: &[(&str, &str)] = &[
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Labels", "LABELS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Mounts", "MOUNTS"),
    ("Names", "NAMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
    ("Ports", "PORTS"),
    ("RunningFor", "CREATED"),
    ("Size", "SIZE"),
    ("State", "STATE"),
    ("Status", "STATUS"),
];

/// Sizes cost time, and are asked for only where they will be seen.
fn asks_for_size(format: &str) -> bool {
    format.contains(".Size") || format.contains("json .}") || format.contains("json . ")
}

/// `docker ps`.
pub(crate) async fn ps(context: &Context, m: Matches) -> Result {
    let full = m.on("no-trunc");
    let format = match m.get("format") {
        Some(format) => format.to_owned(),
        None if m.on("quiet") => String::new(),
        None => context.config.text("psFormat"),
    };
    let last = if m.on("latest") {
        1
    } else {
        m.int("last").unwrap_or(-1)
    };
    let sized = m.on("size") || (!m.on("quiet") && asks_for_size(&format));
    let limit = if last > 0 {
        last.to_string()
    } else {
        String::new()
    };
    let list: Vec<Value> = Request::get("/containers/json")
        .query_on("all", m.on("all"))
        .query_text("limit", &limit)
        .query_on("size", sized)
        .filters(&m.all("filter"))
        .decode(&context.client)
        .await?;
    let containers: Vec<ContainerSummary> = items(list)?;
    if m.on("quiet") && m.get("format").is_none() {
        let ids: String = containers
            .iter()
            .map(|c| format!("{}\n", if full { &c.id } else { id::short(&c.id) }))
            .collect();
        return output::print(&ids);
    }
    let now = time::now();
    let rows: Vec<Value> = containers.iter().map(|c| row(c, full, now)).collect();
    let (mut raw, mut columns) = (RAW.to_owned(), COLUMNS.to_owned());
    if m.on("size") {
        raw.push_str("size: {{.Size}}\n");
        columns.push_str("\t{{.Size}}");
    }
    let format = match format.as_str() {
        "raw" if m.on("quiet") => "container_id: {{.ID}}",
        "raw" => &raw,
        format => format,
    };
    output::print(&template::rows(format, &columns, HEADERS, &rows)?)
}

/// Its fields.
pub(super) fn row(c: &ContainerSummary, full: bool, now: i64) -> Value {
    let short = |text: &str, columns: usize| {
        if full {
            text.to_owned()
        } else {
            ellipsis(text, columns)
        }
    };
    let labels: Vec<String> = c.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mounts: Vec<String> = c
        .mounts
        .iter()
        .map(|m| {
            short(
                if m.name.is_empty() {
                    &m.source
                } else {
                    &m.name
                },
                15,
            )
        })
        .collect();
    let networks: Vec<&str> = c
        .network_settings
        .networks
        .keys()
        .map(String::as_str)
        .collect();
    json!({
        "Command": quote(&short(&c.command, 20)),
        "CreatedAt": time::go(c.created),
        "ID": if full { &c.id } else { id::short(&c.id) },
        "Image": image(c, full),
        "Labels": labels.join(","),
        "LocalVolumes": c.mounts.iter().filter(|m| m.driver == "local").count().to_string(),
        "Mounts": mounts.join(","),
        "Names": names(c, full),
        "Networks": networks.join(","),
        "Platform": null,
        "Ports": ports::show(&c.ports),
        "RunningFor": ago::since(c.created, now),
        "Size": disk(c),
        "State": c.state,
        "Status": c.status,
    })
}

fn names(c: &ContainerSummary, full: bool) -> String {
    let names: Vec<&str> = c
        .names
        .iter()
        .map(|n| n.strip_prefix('/').unwrap_or(n))
        // Names with a further slash are those by which others link to it.
        .filter(|n| full || !n.contains('/'))
        .collect();
    names.join(",")
}

fn image(c: &ContainerSummary, full: bool) -> String {
    if c.image.is_empty() {
        return "<no image>".to_owned();
    }
    if full {
        return c.image.clone();
    }
    if id::short(&c.image) == id::short(&c.image_id) {
        return id::short(&c.image).to_owned();
    }
    // A digest behind a name says little in a table.
    c.image.split('@').next().unwrap_or(&c.image).to_owned()
}

fn disk(c: &ContainerSummary) -> String {
    let own = size::human3(c.size_rw.unwrap_or(0));
    match c.size_root_fs {
        Some(all) if all > 0 => format!("{own} (virtual {})", size::human3(all)),
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_what_dockers_do() {
        let c: ContainerSummary = serde_json::from_value(json!({
            "Id": "0123456789abcdef", "Names": ["/web", "/other/alias"],
            "Image": "busybox@sha256:00", "ImageID": "sha256:ff", "Command": "sh -c 'sleep 10000000'",
            "Created": 0, "Labels": {"b": "2", "a": "1"}, "Status": "Up", "State": "running",
            "SizeRw": 0, "SizeRootFs": 1_982_000,
        }))
        .unwrap();
        let row = row(&c, false, 300);
        assert_eq!(row["ID"], "0123456789ab");
        assert_eq!(row["Names"], "web");
        assert_eq!(row["Image"], "busybox");
        assert_eq!(row["Command"], "\"sh -c 'sleep 100000…\"");
        assert_eq!(row["RunningFor"], "5 minutes ago");
        assert_eq!(row["Labels"], "a=1,b=2");
        assert_eq!(row["Size"], "0B (virtual 1.98MB)");
    }
}
