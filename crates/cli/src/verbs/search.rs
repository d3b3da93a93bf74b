//! `search`.

use serde_json::{Value, json};
use types::image::SearchResult;

use super::{Context, lenient::items};
use crate::{
    client::Request,
    config,
    error::Result,
    flags::{FILTER, FORMAT_TABLE, Flag, Matches, int, switch},
    format::{ellipsis, output, template},
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    FILTER,
    FORMAT_TABLE,
    int("limit", "Max number of search results"),
    switch("no-trunc", "Don't truncate output"),
];

const HEADERS: &[(&str, &str)] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("StarCount", "STARS"),
    ("IsOfficial", "OFFICIAL"),
];
const COLUMNS: &str = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";

/// `docker search`.
pub(crate) async fn search(context: &Context, m: Matches) -> Result {
    let term = &m.args[0];
    let domain = match term.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "",
    };
    let auth = context
        .config
        .credentials()
        .get_or_none(config::server(domain));
    let mut request = Request::get("/images/search")
        .query("term", term)
        .filters(&m.all("filter"))
        .registry_auth(auth.as_ref());
    if let Some(limit) = m.int("limit").filter(|limit| *limit != 0) {
        request = request.query("limit", &limit.to_string());
    }
    let found: Vec<Value> = request.decode(&context.client).await?;
    let found: Vec<SearchResult> = items(found)?;
    let format = m.text("format");
    let mark = |on: bool| match (format.as_str(), on) {
        ("json", on) => on.to_string(),
        (_, true) => "[OK]".to_owned(),
        (_, false) => String::new(),
    };
    let rows: Vec<Value> = found
        .iter()
        .map(|one| {
            let text = one.description.replace(['\n', '\r'], " ");
            json!({
                "Name": one.name,
                "Description": if m.on("no-trunc") { text } else { ellipsis(&text, 45) },
                "StarCount": one.star_count.to_string(),
                "IsOfficial": mark(one.is_official),
            })
        })
        .collect();
    output::print(&template::rows(&format, COLUMNS, HEADERS, &rows)?)
}
