//! `history`.

use serde_json::{Value, json};
use types::{id, image::HistoryItem};

use super::{Context, lenient::items};
use crate::{
    client::Request,
    error::Result,
    flags::{FORMAT_TABLE, Flag, Matches, switch, text},
    format::{ago, ellipsis, output, size, template, time},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    FORMAT_TABLE,
    switch("human", "Print sizes and dates in human readable format")
        .short('H')
        .default("true"),
    switch("no-trunc", "Don't truncate output"),
    text(
        "platform",
        "Show history for the given platform. Formatted as \"os[/arch[/variant]]\"",
    ),
    switch("quiet", "Only show image IDs").short('q'),
];

const HEADERS: &[(&str, &str)] = &[
    ("Comment", "COMMENT"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("CreatedSince", "CREATED"),
    ("ID", "IMAGE"),
    ("Size", "SIZE"),
];

const COLUMNS: &str = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
/// The same with plain times.
const PLAIN: &str = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

/// `docker history`.
pub(crate) async fn history(context: &Context, m: Matches) -> Result {
    let list: Vec<Value> = Request::get(&format!("/images/{}/history", m.args[0]))
        .query_platform(&m.text("platform"))
        .decode(&context.client)
        .await?;
    let steps: Vec<HistoryItem> = items(list)?;
    let human = m.switch("human").unwrap_or(true);
    let (whole, now) = (m.on("no-trunc"), time::now());
    if m.on("quiet") && m.get("format").is_none() {
        let shown =
            |step: &HistoryItem| format!("{}\n", if whole { &step.id } else { short(&step.id) });
        return output::print(&steps.iter().map(shown).collect::<String>());
    }
    let rows: Vec<Value> = steps
        .iter()
        .map(|step| {
            let by = step.created_by.replace('\t', " ");
            json!({
                "ID": if whole { &step.id } else { short(&step.id) },
                "CreatedAt": time::rfc3339(step.created),
                "CreatedSince": match human {
                    true if step.created <= 0 => "N/A".to_owned(),
                    true => ago::since(step.created, now),
                    false => time::rfc3339(step.created),
                },
                "CreatedBy": if whole { by } else { ellipsis(&by, 45) },
                "Size": if human { size::human3(step.size) } else { step.size.to_string() },
                "Comment": step.comment,
            })
        })
        .collect();
    let format = m.text("format");
    let columns = if human { COLUMNS } else { PLAIN };
    output::print(&template::rows(&format, columns, HEADERS, &rows)?)
}

fn short(id: &str) -> &str {
    if id.starts_with("sha256:") {
        id::short(id)
    } else {
        id
    }
}
