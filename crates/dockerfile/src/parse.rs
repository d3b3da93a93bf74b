//! From text to values.
//!
//! [`lines`] joins continued lines, [`directives`] reads the comments at the top, [`instruction`]
//! tells one instruction from another; each kind with flags of its own has a file.

mod copy;
mod directives;
mod flags;
mod health;
mod heredoc;
mod instruction;
mod lines;
mod mount;
mod numbers;
mod run;
mod stage;
mod words;

#[cfg(test)]
mod tests;

use crate::text::{Fault, File, Line, Text};
use crate::{Argument, Dockerfile, Error, Instruction, Located, Span, Stage};
use instruction::Parsed;
use lines::Reader;

pub(crate) use heredoc::is_heredoc;

/// How things were written, for the checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Notes {
    /// Every instruction in the file's order.
    pub(crate) instructions: Vec<Note>,
    /// Lines of continued instructions that are empty, as many as there are instructions with
    /// them: the place of the instruction's end.
    pub(crate) empty_lines: Vec<Span>,
}

/// How an instruction was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Note {
    /// The keyword as written.
    pub(crate) keyword: String,
    /// Everything behind it, with continuation lines joined.
    pub(crate) rest: String,
    pub(crate) span: Span,
    /// Comments right above it.
    pub(crate) comments: Vec<String>,
    /// `ENV name value`.
    pub(crate) legacy: bool,
}

/// Parses a whole file; `name` is what errors call it.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(name: &str, text: &[u8]) -> Result<Dockerfile, Error> {
    let file = File::new(name, text);
    if text.is_empty() {
        let base = name.rsplit('/').next().unwrap_or(name);
        return Err(whole(
            &file,
            format!("the Dockerfile ({base}) cannot be empty"),
        ));
    }
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        let error = whole(&file, "the file is not UTF-8 but UTF-16".to_owned());
        return Err(hinted(error, "save it as UTF-8"));
    }
    let (directives, first) = directives::read(&file)?;
    let mut reader = Reader::new(&file, directives.escape, first);
    let mut dockerfile = Dockerfile {
        directives,
        global_args: Vec::new(),
        stages: Vec::new(),
        name: name.to_owned(),
        notes: Notes::default(),
    };
    let mut any = false;
    while let Some(read) = reader.next()? {
        any = true;
        let instruction = instruction::parse(Text::new(&read.line.text), reader.escape());
        let mut parsed = instruction.map_err(|fault| read.line.error(&file, fault))?;
        let documents = reader.documents(&read.line, &parsed)?;
        let line = Line {
            last: reader.last(),
            ..read.line
        };
        instruction::attach(&mut parsed, documents, &line);
        let span = line.span(parsed.keyword_at);
        if read.empty_continuation {
            dockerfile.notes.empty_lines.push(Span {
                line: read.end,
                column: 1,
                end_line: read.end,
            });
        }
        dockerfile.notes.instructions.push(Note {
            keyword: parsed.keyword.clone(),
            rest: parsed.rest.clone(),
            span,
            comments: read.comments,
            legacy: parsed.legacy,
        });
        add(&mut dockerfile, parsed, span).map_err(|fault| line.error(&file, fault))?;
    }
    if !any {
        return Err(whole(&file, "file with no instructions".to_owned()));
    }
    if dockerfile.stages.is_empty() {
        let error = whole(&file, "no build stage in current context".to_owned());
        return Err(hinted(error, "a Dockerfile needs a FROM"));
    }
    Ok(dockerfile)
}

/// Puts an instruction where it belongs.
fn add(dockerfile: &mut Dockerfile, parsed: Parsed, span: Span) -> Result<(), Fault> {
    let source = parsed.source();
    match parsed.value {
        instruction::Value::From(from) => dockerfile.stages.push(Stage {
            from,
            span,
            source,
            instructions: Vec::new(),
        }),
        instruction::Value::Other(value) => {
            if let Some(stage) = dockerfile.stages.last_mut() {
                stage.instructions.push(Located {
                    value,
                    span,
                    source,
                });
            } else if let Instruction::Arg(value) = value {
                let argument: Located<Vec<Argument>> = Located {
                    value,
                    span,
                    source,
                };
                dockerfile.global_args.push(argument);
            } else {
                let place = Text {
                    text: &parsed.keyword,
                    at: parsed.keyword_at,
                };
                return Err(
                    Fault::new(place, "no build stage in current context").hint(format!(
                        "only ARG may stand before the first FROM; put {} below it",
                        parsed.keyword.to_uppercase()
                    )),
                );
            }
        }
    }
    Ok(())
}

/// An error of the file as a whole.
fn whole(file: &File<'_>, message: String) -> Error {
    Error {
        message,
        span: Span {
            line: 1,
            column: 1,
            end_line: u32::try_from(file.lines.len()).unwrap_or(u32::MAX).max(1),
        },
        hint: None,
        name: file.name.to_owned(),
        drawing: String::new(),
    }
}

fn hinted(mut error: Error, hint: &str) -> Error {
    error.hint = Some(hint.to_owned());
    error
}

/// Parses one instruction: an `ONBUILD` trigger kept by an image, or `commit --change`. Heredocs
/// may follow its line.
///
/// # Errors
/// What is wrong with it.
pub fn parse_instruction(text: &str) -> Result<Located<Instruction>, Error> {
    let file = File::new("instruction", text.as_bytes());
    let mut reader = Reader::new(&file, '\\', 1);
    let Some(read) = reader.next()? else {
        return Err(whole(&file, "there is no instruction".to_owned()));
    };
    let mut line = read.line;
    let mut parsed = instruction::parse(Text::new(&line.text), '\\')
        .map_err(|fault| line.error(&file, fault))?;
    let documents = reader.documents(&line, &parsed)?;
    line.last = reader.last();
    instruction::attach(&mut parsed, documents, &line);
    if let Some(more) = reader.next()? {
        let place = Text {
            text: &more.line.text,
            at: 0,
        };
        return Err(more.line.error(
            &file,
            Fault::new(place, "only one instruction may stand here"),
        ));
    }
    let span = line.span(parsed.keyword_at);
    let source = parsed.source();
    match parsed.value {
        instruction::Value::Other(value) => Ok(Located {
            value,
            span,
            source,
        }),
        instruction::Value::From(_) => {
            let place = Text {
                text: &parsed.keyword,
                at: parsed.keyword_at,
            };
            Err(line.error(&file, Fault::new(place, "FROM cannot stand here")))
        }
    }
}
