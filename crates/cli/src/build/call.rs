//! `--call` and `--check`: builds that only ask what a Dockerfile is like.

use std::fmt::Write;

use serde_json::{Value, json};
use types::build::BuildWarning;

use crate::{
    error::{Error, Result},
    flags::Matches,
};

/// What is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Method {
    /// Nothing: it is to be built.
    #[default]
    Build,
    /// What the checks find.
    Check,
    /// What a target takes.
    Outline,
    /// Which targets there are.
    Targets,
}

/// What is asked, and how the answer is to be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    json: bool,
    ignore_status: bool,
}

impl Call {
    /// From the flags.
    pub(crate) fn of(m: &Matches) -> Result<Self> {
        let text = m.text("call");
        let mut fields = text.split(',');
        let method = match fields.next().unwrap_or_default() {
            "" | "build" if m.on("check") => Method::Check,
            "" | "build" => Method::Build,
            "check" | "lint" => Method::Check,
            "outline" => Method::Outline,
            "targets" => Method::Targets,
            other => {
                return Err(Error::msg(format!(
                    "ERROR: --call {other} is not supported by wharf: there are build, check, outline \
                     and targets"
                )));
            }
        };
        let mut call = Self {
            method,
            ..Self::default()
        };
        for field in fields {
            match field.split_once('=').unwrap_or((field, "true")) {
                ("format", "json") => call.json = true,
                ("format", "text" | "") => call.json = false,
                ("ignorestatus", "true" | "1") => call.ignore_status = true,
                ("ignorestatus", "false" | "0") => call.ignore_status = false,
                _ => {
                    return Err(Error::msg(format!(
                        "ERROR: invalid --call option {field:?}: there are format=json, format=text \
                         and ignorestatus=true"
                    )));
                }
            }
        }
        Ok(call)
    }

    /// Whether anything is built.
    pub(crate) fn builds(self) -> bool {
        self.method == Method::Build
    }

    /// What the daemon is asked for by [`types::build::BuildRequest::call`].
    pub(crate) fn asks(self) -> &'static str {
        match self.method {
            Method::Outline => "outline",
            Method::Targets => "targets",
            Method::Build | Method::Check => "",
        }
    }

    /// The answer as it is to be printed, and how the program ends.
    pub(crate) fn told(self, answer: &str, warnings: &[BuildWarning]) -> Result<(String, u8)> {
        let (value, code) = match self.method {
            Method::Check => (lint(warnings), u8::from(!warnings.is_empty())),
            Method::Build | Method::Outline | Method::Targets => {
                let value = serde_json::from_str(answer)
                    .map_err(|e| Error::msg(format!("ERROR: the daemon's answer: {e}")))?;
                (value, 0)
            }
        };
        let code = if self.ignore_status { 0 } else { code };
        if self.json {
            let text =
                serde_json::to_string_pretty(&value).map_err(|e| Error::msg(e.to_string()))?;
            return Ok((text + "\n", code));
        }
        let text = match self.method {
            Method::Check => check(warnings),
            Method::Targets => targets(&value),
            Method::Outline | Method::Build => outline(&value),
        };
        Ok((text, code))
    }
}

/// BuildKit's form of what the checks found.
fn lint(warnings: &[BuildWarning]) -> Value {
    let mut files: Vec<&str> = warnings.iter().map(|w| w.file.as_str()).collect();
    files.dedup();
    let each = warnings.iter().map(|w| {
        let index = files.iter().position(|file| *file == w.file);
        let end = w.end_line.max(w.line);
        json!({
            "ruleName": w.rule, "description": w.description, "url": w.url, "detail": w.message,
            "location": {
                "sourceIndex": index,
                "ranges": [{"start": {"line": w.line}, "end": {"line": end}}],
            },
        })
    });
    let sources = files
        .iter()
        .map(|f| json!({"filename": f, "language": "Dockerfile"}));
    json!({"warnings": each.collect::<Value>(), "sources": sources.collect::<Value>()})
}

fn check(warnings: &[BuildWarning]) -> String {
    let mut text: String = warnings
        .iter()
        .map(crate::progress::build::drawing)
        .collect();
    match warnings.len() {
        0 => text += "Check complete, no warnings found.\n",
        1 => text += "\nCheck complete, 1 warning has been found!\n",
        n => _ = writeln!(text, "\nCheck complete, {n} warnings have been found!"),
    }
    text
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Columns with `gap` spaces between them, as Go's `tabwriter` has them.
fn table(rows: &[Vec<String>], gap: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + gap
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if at + 1 == row.len() {
                text += cell;
            } else {
                let _ = write!(text, "{cell:width$}");
            }
        }
        text.push('\n');
    }
    text
}

fn rows<'a>(
    head: &[&str],
    list: &'a Value,
    row: impl Fn(&'a Value) -> Vec<String>,
) -> Vec<Vec<String>> {
    let head = head.iter().map(|&text| text.to_owned()).collect();
    let list = list.as_array().into_iter().flatten().map(row);
    std::iter::once(head).chain(list).collect()
}

fn targets(value: &Value) -> String {
    let rows = rows(&["TARGET", "DESCRIPTION"], &value["targets"], |target| {
        let name = match (field(target, "name"), target["default"] == true) {
            ("", true) => "(default)".to_owned(),
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_owned(),
        };
        vec![name, field(target, "description").to_owned()]
    });
    table(&rows, 1)
}

fn outline(value: &Value) -> String {
    let mut text = String::new();
    let (name, description) = (field(value, "name"), field(value, "description"));
    if !name.is_empty() || !description.is_empty() {
        let name = if name.is_empty() { "(default)" } else { name };
        let mut rows = vec![vec!["TARGET:".to_owned(), name.to_owned()]];
        if !description.is_empty() {
            rows.push(vec!["DESCRIPTION:".to_owned(), description.to_owned()]);
        }
        text = table(&rows, 1) + "\n";
    }
    let arguments = rows(
        &["BUILD ARG", "VALUE", "DESCRIPTION"],
        &value["args"],
        |a| {
            ["name", "value", "description"]
                .map(|key| field(a, key).to_owned())
                .into()
        },
    );
    let taken = |head: &str, key: &str| {
        rows(&[head, "REQUIRED"], &value[key], |taken| {
            let required = if taken["required"] == true {
                "true"
            } else {
                ""
            };
            vec![field(taken, "name").to_owned(), required.to_owned()]
        })
    };
    for rows in [arguments, taken("SECRET", "secrets"), taken("SSH", "ssh")] {
        if rows.len() > 1 {
            text += &table(&rows, 3);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn call(args: &[&str]) -> Result<Call> {
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        Call::of(&parse(&[crate::verbs::BUILD_FLAGS], true, &args).unwrap())
    }

    #[test]
    fn methods_and_their_options() {
        for (args, method) in [
            (&["--check"][..], Method::Check),
            (&["--call=lint"], Method::Check),
            (&["--call", "build"], Method::Build),
            (&["--call", "outline,format=json"], Method::Outline),
            (&["--call", "targets"], Method::Targets),
        ] {
            assert_eq!(call(args).unwrap().method, method, "{args:?}");
        }
        for bad in ["lines", "check,format=yaml", "outline,x"] {
            assert!(call(&["--call", bad]).is_err(), "{bad}");
        }
        let warning = BuildWarning {
            line: 2,
            ..BuildWarning::default()
        };
        let told = |args: &[&str]| {
            call(args)
                .unwrap()
                .told("", std::slice::from_ref(&warning))
                .unwrap()
        };
        assert_eq!(told(&["--check"]).1, 1);
        assert_eq!(told(&["--call=check,ignorestatus=true"]).1, 0);
        let (text, code) = told(&["--call=check,format=json"]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (
                code,
                &value["warnings"][0]["location"]["ranges"][0]["end"]["line"]
            ),
            (1, &json!(2))
        );
    }

    #[test]
    fn answers_are_told_as_buildx_does() {
        let value = json!({"targets": [
            {"name": "base", "description": "has the tools."}, {"name": "app", "default": true},
        ]});
        assert_eq!(
            targets(&value),
            "TARGET        DESCRIPTION\nbase          has the tools.\napp (default) \n"
        );
        let value = json!({
            "name": "app", "args": [{"name": "VERSION", "value": "1", "description": "is built."}],
            "secrets": [{"name": "token", "required": true}], "ssh": [{"name": "default"}],
        });
        assert_eq!(
            outline(&value),
            "TARGET: app\n\nBUILD ARG   VALUE   DESCRIPTION\nVERSION     1       is built.\n\n\
             SECRET   REQUIRED\ntoken    true\n\nSSH       REQUIRED\ndefault   \n\n"
        );
    }
}
