//! Tells one instruction from another.

use super::flags::Flags;
use super::heredoc::Opened;
use super::words::{self, pairs};
use super::{copy, health, run, stage};
use crate::text::{Fault, Line, Text};
use crate::{Argument, From, Heredoc, Instruction, Located, Span};

/// All keywords.
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// What an instruction is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    From(From),
    Other(Instruction),
}

/// An instruction and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parsed {
    pub(super) value: Value,
    /// The keyword as written.
    pub(super) keyword: String,
    pub(super) keyword_at: usize,
    /// Everything behind the keyword.
    pub(super) rest: String,
    /// Its arguments are a JSON list.
    pub(super) json: bool,
    /// `ENV name value`.
    pub(super) legacy: bool,
    /// Where what is inside an `ONBUILD` begins.
    inner_at: Option<usize>,
    /// What is shown of a lone heredoc.
    summary: Option<String>,
}

impl Parsed {
    /// See [`Located::source`].
    pub(super) fn source(&self) -> String {
        let mut source = self.keyword.to_uppercase();
        if !self.rest.is_empty() {
            source.push(' ');
            source.push_str(&self.rest);
        }
        if let Some(summary) = &self.summary {
            source.push_str(&format!(" ({summary})"));
        }
        source
    }
}

/// Reads one joined line.
pub(super) fn parse(line: Text<'_>, escape: char) -> Result<Parsed, Fault> {
    let (keyword, rest) = line.split_word();
    let name = keyword.text.to_uppercase();
    if !KEYWORDS.contains(&name.as_str()) {
        let fault = Fault::new(keyword, format!("unknown instruction: {}", keyword.text))
            .meant(keyword.text, &KEYWORDS);
        return Err(match fault.hint {
            Some(_) => fault,
            None if !keyword.text.is_ascii() => fault.hint(
                "there is a character in it that only looks like a letter or a space: type it anew",
            ),
            None => fault
                .hint("if it belongs to the line above, that must end with the escape character"),
        });
    }
    let (flags, text) = Flags::split(rest, escape);
    // Where nothing stands, errors point at the keyword.
    let text = if text.text.is_empty() && rest.text.is_empty() {
        Text {
            text: "",
            at: keyword.at + keyword.text.len(),
        }
    } else {
        text
    };
    let mut parsed = Parsed {
        value: Value::Other(Instruction::Arg(Vec::new())),
        keyword: keyword.text.to_owned(),
        keyword_at: keyword.at,
        rest: rest.text.to_owned(),
        json: false,
        legacy: false,
        inner_at: None,
        summary: None,
    };
    let other = match name.as_str() {
        "FROM" => {
            parsed.value = Value::From(stage::parse(&flags, text, escape)?);
            return Ok(parsed);
        }
        "COPY" | "ADD" => {
            let (copy, json) = copy::parse(&name, &flags, text, escape)?;
            parsed.json = json;
            if name == "ADD" {
                Instruction::Add(copy)
            } else {
                Instruction::Copy(copy)
            }
        }
        "RUN" => {
            let (run, json) = run::parse(&flags, text, escape)?;
            parsed.json = json;
            Instruction::Run(run)
        }
        "HEALTHCHECK" => Instruction::Healthcheck(health::parse(&flags, text)?),
        _ => {
            flags.known(&[], &[])?;
            match name.as_str() {
                "ENV" | "LABEL" => {
                    let (pairs, legacy) = pairs(&name, text, escape)?;
                    parsed.legacy = legacy;
                    if name == "ENV" {
                        Instruction::Env(pairs)
                    } else {
                        Instruction::Label(pairs)
                    }
                }
                "ONBUILD" => {
                    let inner = onbuild(text, escape)?;
                    parsed.inner_at = Some(inner.keyword_at);
                    parsed.json = inner.json;
                    let source = inner.source();
                    let Value::Other(value) = inner.value else {
                        return Err(Fault::new(text, "FROM isn't allowed as an ONBUILD trigger"));
                    };
                    let span = Span {
                        line: 0,
                        column: 0,
                        end_line: 0,
                    };
                    Instruction::Onbuild(Box::new(Located {
                        value,
                        span,
                        source,
                    }))
                }
                _ => simple(&name, keyword, text, escape, &mut parsed.json)?,
            }
        }
    };
    parsed.value = Value::Other(other);
    Ok(parsed)
}

/// Instructions without flags that are a few words.
fn simple(
    name: &str,
    keyword: Text<'_>,
    text: Text<'_>,
    escape: char,
    json: &mut bool,
) -> Result<Instruction, Fault> {
    let at_least_one = || {
        let message = format!("{name} requires at least one argument");
        Fault::new(if text.text.is_empty() { keyword } else { text }, message)
    };
    let one = || -> Result<String, Fault> {
        if text.text.is_empty() {
            let message = format!("{name} requires exactly one argument");
            return Err(Fault::new(keyword, message));
        }
        if name != "MAINTAINER" {
            words::check(text, escape)?;
        }
        Ok(text.text.to_owned())
    };
    Ok(match name {
        "ARG" => {
            let words = words::quoted(text, escape);
            if words.is_empty() {
                return Err(at_least_one());
            }
            let mut arguments = Vec::new();
            for word in words {
                words::check(word, escape)?;
                let (name, default) = match word.text.split_once('=') {
                    Some((name, default)) => (name, Some(default.to_owned())),
                    None => (word.text, None),
                };
                if name.is_empty() {
                    return Err(Fault::new(word, "ARG names can not be blank"));
                }
                arguments.push(Argument {
                    name: name.to_owned(),
                    default,
                });
            }
            Instruction::Arg(arguments)
        }
        "CMD" | "ENTRYPOINT" => {
            let (command, is_json) = run::command(text)?;
            *json = is_json;
            if name == "CMD" {
                Instruction::Cmd(command)
            } else {
                Instruction::Entrypoint(command)
            }
        }
        "EXPOSE" => {
            let words = text.words();
            if words.is_empty() {
                return Err(at_least_one());
            }
            for word in &words {
                words::check(*word, escape)?;
            }
            Instruction::Expose(words.iter().map(|word| word.text.to_owned()).collect())
        }
        "VOLUME" => {
            let (words, is_json) = words::list(text)?;
            *json = is_json;
            if words.is_empty() {
                return Err(at_least_one());
            }
            let mut volumes = Vec::new();
            for word in words {
                let volume = word.value.trim();
                if volume.is_empty() {
                    return Err(Fault::new(
                        word.place,
                        "VOLUME specified can not be an empty string",
                    ));
                }
                if !is_json {
                    words::check(word.place, escape)?;
                }
                volumes.push(volume.to_owned());
            }
            Instruction::Volume(volumes)
        }
        "SHELL" => match words::json(text)? {
            Some(list) if !list.is_empty() => Instruction::Shell(list),
            None if !text.text.is_empty() => {
                return Err(
                    Fault::new(text, "SHELL requires the arguments to be in JSON form")
                        .hint("write SHELL [\"/bin/sh\", \"-c\"]"),
                );
            }
            _ => return Err(at_least_one()),
        },
        "USER" => Instruction::User(one()?),
        "WORKDIR" => Instruction::Workdir(one()?),
        "STOPSIGNAL" => Instruction::Stopsignal(one()?),
        _ => Instruction::Maintainer(one()?),
    })
}

/// What an `ONBUILD` keeps for later.
fn onbuild(text: Text<'_>, escape: char) -> Result<Parsed, Fault> {
    let (keyword, _) = text.split_word();
    match keyword.text.to_uppercase().as_str() {
        "" => Err(Fault::new(text, "ONBUILD requires at least one argument")),
        "ONBUILD" => Err(Fault::new(
            keyword,
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        )),
        name @ ("MAINTAINER" | "FROM") => Err(Fault::new(
            keyword,
            format!("{name} isn't allowed as an ONBUILD trigger"),
        )),
        _ => parse(text, escape),
    }
}

/// Gives an instruction the documents that followed it, and its trigger a place.
pub(super) fn attach(parsed: &mut Parsed, documents: Vec<(Opened, Heredoc, String)>, line: &Line) {
    let contents: Vec<Heredoc> = documents.iter().map(|(_, doc, _)| doc.clone()).collect();
    match &mut parsed.value {
        Value::Other(Instruction::Onbuild(inner)) => {
            fill(&mut inner.value, &contents);
            inner.span = line.span(parsed.inner_at.unwrap_or(0));
            for (opened, _, raw) in &documents {
                inner.source.push('\n');
                inner.source.push_str(raw);
                inner.source.push_str(&opened.name);
            }
        }
        Value::Other(value) => {
            fill(value, &contents);
            if let Instruction::Run(run) = value {
                parsed.summary = run.script().map(|script| summary(&script.content));
            }
        }
        Value::From(_) => {}
    }
}

fn fill(value: &mut Instruction, documents: &[Heredoc]) {
    match value {
        Instruction::Copy(copy) | Instruction::Add(copy) => copy::attach(copy, documents),
        Instruction::Run(run) => run.heredocs = documents.to_vec(),
        _ => {}
    }
}

/// The first line of a document.
fn summary(content: &str) -> String {
    let mut lines = content.trim().lines();
    let first = lines.next().unwrap_or_default();
    let more = if lines.next().is_some() { "..." } else { "" };
    format!("{first}{more}")
}
