//! `# syntax=`, `# escape=` and `# check=` at the top of a file.

use crate::text::File;
use crate::{Check, Directives, Error};

/// The directives, and the number of the first line behind them.
pub(super) fn read(file: &File<'_>) -> Result<(Directives, u32), Error> {
    let mut directives = Directives::default();
    let mut seen: Vec<String> = Vec::new();
    let shebang = file.line(1).starts_with("#!");
    let mut number = 1 + u32::from(shebang);
    while let Some((name, value, column)) = directive(file.line(number), "#") {
        if seen.contains(&name) {
            let message = format!("only one {name} parser directive can be used");
            return Err(file.error(number, 1, message));
        }
        match name.as_str() {
            "syntax" => directives.syntax = value.split(' ').next().map(str::to_owned),
            "escape" => directives.escape = escape(file, number, column, value)?,
            _ => directives.check = check(file, number, column, value)?,
        }
        seen.push(name);
        number += 1;
    }
    if let Some(syntax) = foreign(file, 1 + u32::from(shebang)) {
        let line = 1 + u32::from(shebang);
        let mut error = file.error(line, 1, format!("the file is written for {syntax}"));
        error.hint = Some("only Dockerfiles can be built".to_owned());
        return Err(error);
    }
    Ok((directives, number))
}

/// `name=value` in a comment, if it is a directive; and where the value begins.
fn directive<'a>(line: &'a str, comment: &str) -> Option<(String, &'a str, u32)> {
    let text = line.trim_start().strip_prefix(comment)?.trim_start();
    let (name, value) = text.split_once('=')?;
    let name = name.trim_end().to_ascii_lowercase();
    if !matches!(name.as_str(), "syntax" | "escape" | "check") {
        return None;
    }
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    let at = line.len() - line.trim_end().len();
    let before = &line[..line.len() - at - value.len()];
    let column = u32::try_from(before.chars().count()).unwrap_or(0) + 1;
    Some((name, value, column))
}

/// The frontend of a file in a language whose comments begin with `//`, or in JSON.
fn foreign(file: &File<'_>, first: u32) -> Option<String> {
    let mut number = first;
    while let Some((name, value, _)) = directive(file.line(number), "//") {
        if name == "syntax" {
            return value.split(' ').next().map(str::to_owned);
        }
        number += 1;
    }
    if !file.line(first).trim_start().starts_with('{') {
        return None;
    }
    let rest = file.lines.iter().skip(first as usize - 1);
    let text: String = rest.map(|(line, _)| line.as_ref()).collect();
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    json.get("syntax")?.as_str().map(str::to_owned)
}

fn escape(file: &File<'_>, line: u32, column: u32, value: &str) -> Result<char, Error> {
    match value {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        _ => {
            let message = format!("invalid escape token '{value}' does not match ` or \\");
            Err(file.error(line, column, message))
        }
    }
}

/// `skip=A,B;error=true`.
fn check(file: &File<'_>, line: u32, column: u32, text: &str) -> Result<Check, Error> {
    options(text).map_err(|(option, hint)| {
        let mut error = file.error(line, column, format!("invalid check option {option:?}"));
        error.hint = Some(hint.to_owned());
        error
    })
}

/// Options, or the wrong one and what to do about it.
fn options(text: &str) -> Result<Check, (&str, &'static str)> {
    let mut check = Check::default();
    let list = |value: &str| {
        value
            .split(',')
            .map(|rule| rule.trim().to_owned())
            .collect()
    };
    for part in text.split(';') {
        let Some((key, value)) = part.split_once('=') else {
            return Err((part, "write it as skip=RULE,RULE;error=true"));
        };
        let value = value.trim();
        match key.trim() {
            "skip" if value == "all" => check.skip_all = true,
            "skip" => check.skip = list(value),
            "experimental" if value == "all" => check.experimental_all = true,
            "experimental" => check.experimental = list(value),
            "error" => {
                check.error =
                    super::numbers::boolean(value).ok_or((part, "error is true or false"))?;
            }
            key => return Err((key, "options are skip, error and experimental")),
        }
    }
    Ok(check)
}

impl Check {
    /// Reads what stands behind `# check=`, or in the build argument `BUILDKIT_DOCKERFILE_CHECK`.
    ///
    /// # Errors
    /// An option that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        options(text).map_err(|(option, _)| format!("invalid check option {option:?}"))
    }
}
