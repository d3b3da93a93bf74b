//! `--format`.

use std::collections::BTreeMap;

use gotmpl::{FieldType, MissingKey, Options, Template, table::Table};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Fields that docker's clients hold as lists and daemons may send as `null`.
const LISTS: &[&str] = &[
    "ExecIDs",
    "Binds",
    "CapAdd",
    "CapDrop",
    "GroupAdd",
    "SecurityOpt",
    "Ulimits",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "Links",
    "Aliases",
    "DNSNames",
    "VolumesFrom",
    "Mounts",
    "RepoTags",
    "RepoDigests",
    "Env",
    "Cmd",
    "Entrypoint",
    "OnBuild",
    "Args",
    "Layers",
    "Components",
    "DriverStatus",
    "Labels",
    "Warnings",
    "SecurityOptions",
    "Mirrors",
];

/// Fields that docker's clients hold as texts by name.
const MAPS: &[&str] = &[
    "Labels",
    "Attributes",
    "DriverOpts",
    "Sysctls",
    "Annotations",
    "Tmpfs",
    "Details",
    "Volumes",
];

fn field_type(name: &str) -> FieldType {
    if MAPS.contains(&name) {
        FieldType::StringMap
    } else if LISTS.contains(&name) {
        FieldType::List
    } else {
        FieldType::Any
    }
}

/// A template for whole documents.
pub(crate) struct Document {
    template: Template,
    options: Options,
}

impl Document {
    /// Reads what `--format` gives; `json` is a document in one line. docker ends with 64 where
    /// the text is no template.
    pub(crate) fn parse(name: &str, format: &str) -> Result<Self> {
        let text = if format == "json" {
            "{{json .}}"
        } else {
            format
        };
        let template = Template::parse(name, text).map_err(|e| Error::Usage {
            text: format!("template parsing error: {e}"),
            code: 64,
        })?;
        let options = Options {
            missing_key: MissingKey::Error,
            field_type: Some(field_type),
            methods: Vec::new(),
        };
        Ok(Self { template, options })
    }

    /// Applies it to `value`.
    pub(crate) fn render(&self, value: &Value) -> Result<String> {
        self.template
            .render(value, &self.options)
            .map_err(|e| Error::msg(format!("template parsing error: {e}")))
    }
}

/// Rows as `format` says, under `headers` where that is a table; `table` alone is `columns`.
pub(crate) fn rows(
    format: &str,
    columns: &str,
    headers: &[(&str, &str)],
    rows: &[Value],
) -> Result<String> {
    let format = if format.is_empty() || format == "table" {
        columns
    } else {
        format
    };
    if format == "json" || format == "{{json .}}" {
        return Ok(rows
            .iter()
            .map(|row| format!("{}\n", escape(&sorted(row))))
            .collect());
    }
    Table::new(format, headers).render(rows).map_err(|e| {
        let text = e.to_string();
        let text = text
            .strip_prefix("template parsing error: ")
            .unwrap_or(&text);
        let what = if text.contains(": executing ") {
            "execute"
        } else {
            "parse"
        };
        Error::msg(format!("failed to {what} template: {text}"))
    })
}

/// A row's JSON with its fields in the order in which Go writes a map.
fn sorted(row: &Value) -> String {
    let fields: Option<BTreeMap<_, _>> = row.as_object().map(|fields| fields.iter().collect());
    fields.map_or_else(|| row.to_string(), |fields| json!(fields).to_string())
}

/// Go's JSON of rows is safe inside HTML.
pub(crate) fn escape(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// Adds Go's name of a field where the API spells it differently, for templates that use it.
pub(crate) fn alias(value: &mut Value, format: &str, api: &str, go: &str) {
    if format.contains(&format!(".{go}"))
        && let Some(map) = value.as_object_mut()
        && !map.contains_key(go)
        && let Some(field) = map.get(api).cloned()
    {
        map.insert(go.to_owned(), field);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn columns_are_straight_in_every_script() {
        let names = [
            "web",
            "контейнер",
            "কন্টেইনার",
            "容器容器容器容器",
            "e\u{301}te\u{301}",
        ];
        let values: Vec<_> = names.iter().map(|n| json!({"A": n, "B": "|"})).collect();
        let headers = [("A", "NAME"), ("B", "|")];
        let table = super::rows("table {{.A}}\t{{.B}}", "", &headers, &values).unwrap();
        let columns: Vec<usize> = table
            .lines()
            .map(|line| line.split('|').next().unwrap_or_default().width())
            .collect();
        assert_eq!(columns, [columns[0]; 6], "{table}");
    }
}
