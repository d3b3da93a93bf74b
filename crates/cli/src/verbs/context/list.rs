//! `context ls`, `inspect`, `show`.

use serde_json::{Map, Value, json};

use super::{Context, get, store};
use crate::{
    contexts::DEFAULT,
    error::{Error, Result},
    flags::Matches,
    format::{
        indent, output,
        template::{self, Document},
    },
    verbs::port::natural,
};

/// What docker says of the context that is none.
pub(super) const DEFAULT_ABOUT: &str = "Current DOCKER_HOST based configuration";

const HEADERS: &[(&str, &str)] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("DockerEndpoint", "DOCKER ENDPOINT"),
    ("Error", "ERROR"),
];

const COLUMNS: &str =
    "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}";

/// `docker context ls`.
pub(crate) async fn list(context: &Context, m: Matches) -> Result {
    let chosen = &context.chosen.name;
    let store = store(context);
    let row = |name: &str, about: &str, host: &str, error: &str| {
        json!({
            "Current": name == chosen,
            "Description": about,
            "DockerEndpoint": host,
            "Error": error,
            "Name": name,
        })
    };
    let mut rows = vec![row(
        DEFAULT,
        DEFAULT_ABOUT,
        &context.chosen.default_host,
        "",
    )];
    for meta in store.list()? {
        rows.push(row(&meta.name, meta.description(), meta.host(), ""));
    }
    if chosen != DEFAULT && !store.has(chosen) {
        let error = store.get(chosen).err().map(|e| e.to_string());
        let error = crate::format::ellipsis(&error.unwrap_or_default(), 45);
        rows.push(row(chosen, "", "", &error));
    }
    let name = |row: &Value| row["Name"].as_str().unwrap_or_default().to_owned();
    rows.sort_by(|a, b| natural(&name(a), &name(b)));
    if m.on("quiet") {
        let names: String = rows.iter().map(|row| format!("{}\n", name(row))).collect();
        return output::print(&names);
    }
    output::print(&template::rows(&m.text("format"), COLUMNS, HEADERS, &rows)?)?;
    if let Some(variable) = context.chosen.overridden {
        output::complain(&format!(
            "Warning: {variable} environment variable overrides the active context. To use a context, either set the global --context flag, or unset {variable} environment variable."
        ));
    }
    Ok(())
}

/// `docker context show`.
pub(crate) async fn show(context: &Context, _: Matches) -> Result {
    output::line(&context.chosen.name)
}

/// `docker context inspect`.
pub(crate) async fn inspect(context: &Context, m: Matches) -> Result {
    let format = m.text("format");
    let document = match format.as_str() {
        "" => None,
        format => Some(Document::parse("", format)?),
    };
    let names = if m.args.is_empty() {
        vec![context.chosen.name.clone()]
    } else {
        m.args.clone()
    };
    let (mut shown, mut found, mut failures) = (String::new(), Vec::new(), Vec::new());
    for name in &names {
        match describe(context, name) {
            Ok(value) => match &document {
                Some(document) => shown.push_str(&format!("{}\n", document.render(&value)?)),
                None => found.push(template::escape(&value.to_string())),
            },
            Err(e) => failures.push(e.to_string()),
        }
    }
    if document.is_none() {
        shown = indent::list(&found);
    }
    output::print(&shown)?;
    Error::lines(&failures)
}

fn describe(context: &Context, name: &str) -> Result<Value> {
    let (meta, material) = get(context, name)?;
    let (at, tls) = if name == DEFAULT {
        ("<IN MEMORY>".to_owned(), "<IN MEMORY>".to_owned())
    } else {
        let store = store(context);
        (
            store.meta_path(name).display().to_string(),
            store.tls_path(name).display().to_string(),
        )
    };
    let files: Vec<&str> = material.files().map(|(file, _)| file).collect();
    let mut all = Map::new();
    if !files.is_empty() {
        all.insert("docker".to_owned(), json!(files));
    }
    let mut value = serde_json::to_value(&meta).map_err(|e| Error::msg(e.to_string()))?;
    value["TLSMaterial"] = Value::Object(all);
    value["Storage"] = json!({"MetadataPath": at, "TLSPath": tls});
    Ok(value)
}
