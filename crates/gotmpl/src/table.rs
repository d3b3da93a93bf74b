//! The output of docker's list commands: a table with headers, or a line for each row.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::tabwriter::align;
use crate::{Error, Method, MissingKey, Options, Template};

/// What a list command prints.
///
/// `format` is the user's: `table TEMPLATE` for a table, `json` for a JSON object a line, any
/// other template for itself. Commands replace a bare `table` by their own columns before.
#[derive(Debug, Clone)]
pub struct Table<'t> {
    format: &'t str,
    headers: Value,
    options: Options,
}

impl<'t> Table<'t> {
    /// A table of the columns that `format` names.
    ///
    /// `headers` has the header for every field that rows have. Rows, too, have them all: a
    /// field that a row does not have is an error.
    pub fn new(format: &'t str, headers: &[(&str, &str)]) -> Self {
        let headers: Map<_, _> = headers
            .iter()
            .map(|(field, header)| ((*field).to_owned(), Value::from(*header)))
            .collect();
        let options = Options {
            missing_key: MissingKey::Error,
            ..Options::default()
        };
        Self {
            format,
            headers: Value::Object(headers),
            options,
        }
        .method(label_method(label))
    }

    /// Gives rows one more method; one of the same name is replaced.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.options.methods.retain(|old| old.name != method.name);
        self.options.methods.push(method);
        self
    }

    /// Whether `format` asks for a table with headers.
    pub fn is_table(format: &str) -> bool {
        format.starts_with("table")
    }

    /// The table with `rows`, or their lines. Errors read as docker's do.
    pub fn render<'r>(&self, rows: impl IntoIterator<Item = &'r Value>) -> Result<String, Error> {
        let template = Template::parse("", &self.template()).map_err(Error::into_format)?;
        let mut lines = String::new();
        for row in rows {
            lines.push_str(
                &template
                    .render(row, &self.options)
                    .map_err(Error::into_format)?,
            );
            lines.push('\n');
        }
        if !Self::is_table(self.format) {
            return Ok(lines);
        }
        let mut header = self.options.clone();
        header.missing_key = MissingKey::Default;
        header.methods.retain(|method| method.name == "Label");
        for method in &mut header.methods {
            method.run = Arc::new(label_header);
        }
        let header = template.header(&self.headers, &header);
        Ok(align(&format!("{header}\n{lines}")))
    }

    fn template(&self) -> String {
        if self.format == "json" {
            return "{{json .}}".into();
        }
        let template = self.format.strip_prefix("table").unwrap_or(self.format);
        unescape(template.trim_matches(' '))
    }
}

/// The method `.Label "name"` that looks names up by `run`.
fn label_method(
    run: impl Fn(&Map<String, Value>, &[String]) -> Result<String, String> + Send + Sync + 'static,
) -> Method {
    Method {
        name: "Label".into(),
        args: 1,
        run: Arc::new(run),
    }
}

/// The value of a label in the row's `Labels`, be they an object or docker's `a=b,c=d`. Commands
/// whose labels may contain commas bring a method of their own that knows better.
fn label(row: &Map<String, Value>, args: &[String]) -> Result<String, String> {
    let [name] = args else {
        return Err("Label has one argument, the name of the label".into());
    };
    let value = match row.get("Labels") {
        Some(Value::Object(labels)) => labels.get(name).and_then(Value::as_str),
        Some(Value::String(labels)) => labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .find(|(key, _)| key == name)
            .map(|(_, value)| value),
        _ => None,
    };
    Ok(value.unwrap_or_default().to_owned())
}

/// The header over a label: the last part of its name, in words.
fn label_header(_: &Map<String, Value>, args: &[String]) -> Result<String, String> {
    let name = args.first().map(String::as_str).unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    Ok(last.replace(['-', '_'], " "))
}

/// Turns `\t` and `\n` as typed in a shell into the characters, as docker does. In quoted strings
/// of actions they stay, where they mean the same: docker replaces them there, too, and then
/// complains about the newline.
fn unescape(format: &str) -> String {
    let mut out = String::with_capacity(format.len());
    let mut rest = format;
    let (mut action, mut quoted) = (false, false);
    while let Some(ch) = rest.chars().next() {
        let mut len = ch.len_utf8();
        if quoted && ch == '\\' {
            len += rest[1..].chars().next().map_or(0, char::len_utf8);
        } else if !quoted && (rest.starts_with("\\t") || rest.starts_with("\\n")) {
            out.push(if rest.starts_with("\\t") { '\t' } else { '\n' });
            rest = &rest[2..];
            continue;
        } else if action && ch == '"' {
            quoted = !quoted;
        } else if !quoted && rest.starts_with("{{") {
            action = true;
        } else if !quoted && rest.starts_with("}}") {
            action = false;
        }
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    out
}
