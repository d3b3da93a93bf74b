//! Joins continued lines, leaves out comments, and reads the documents that follow a line.

use super::heredoc::{self, Opened};
use super::instruction::Parsed;
use crate::text::{File, Line, Piece};
use crate::{Error, Heredoc};

/// As long as a line of a file may be, in bytes: as in Docker.
const LONGEST: usize = 65535;

/// One instruction's line.
pub(super) struct Read {
    pub(super) line: Line,
    /// Its last line, without documents.
    pub(super) end: u32,
    /// Comments right above it.
    pub(super) comments: Vec<String>,
    /// One of its continuation lines is empty.
    pub(super) empty_continuation: bool,
}

/// Goes through a file.
pub(super) struct Reader<'a> {
    file: &'a File<'a>,
    escape: char,
    /// The number of the next line, from 1.
    next: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a File<'a>, escape: char, first: u32) -> Self {
        Self {
            file,
            escape,
            next: first,
        }
    }

    pub(super) fn escape(&self) -> char {
        self.escape
    }

    /// The number of the line that was read last.
    pub(super) fn last(&self) -> u32 {
        self.next.saturating_sub(1)
    }

    /// The next line of the file, without its end; whether it is a comment.
    fn take(&mut self) -> Result<Option<(u32, &'a str, bool)>, Error> {
        let number = self.next;
        let Some((line, whole)) = self.file.lines.get(number as usize - 1) else {
            return Ok(None);
        };
        self.next += 1;
        let text = line.trim_end_matches(['\n', '\r']);
        if line.len() > LONGEST {
            let message = format!("dockerfile line greater than max allowed size of {LONGEST}");
            return Err(self.file.error(number, 1, message));
        }
        let comment = text.trim_start().starts_with('#');
        if !whole && !comment {
            let before = text.split('\u{fffd}').next().unwrap_or_default();
            let column = u32::try_from(before.chars().count()).unwrap_or(0) + 1;
            let message = "the line is not UTF-8";
            let mut error = self.file.error(number, column, message);
            error.hint = Some("save the file as UTF-8".to_owned());
            return Err(error);
        }
        Ok(Some((number, text, comment)))
    }

    /// Reads up to the end of the next instruction's line.
    pub(super) fn next(&mut self) -> Result<Option<Read>, Error> {
        let mut comments = Vec::new();
        while let Some((number, text, comment)) = self.take()? {
            if comment {
                let said = text.trim_start().trim_start_matches('#').trim();
                if said.is_empty() {
                    comments.clear();
                } else {
                    comments.push(said.to_owned());
                }
                continue;
            }
            let begun = text.trim_start();
            let (part, ends) = self.part(begun);
            if ends && part.is_empty() {
                comments.clear();
                continue;
            }
            let skipped = text.len() - begun.len();
            let column = text[..skipped].chars().count() + 1;
            let mut read = Read {
                line: Line {
                    text: String::new(),
                    pieces: Vec::new(),
                    last: number,
                },
                end: number,
                comments,
                empty_continuation: false,
            };
            append(&mut read.line, part, number, column);
            if !ends {
                self.continued(&mut read)?;
            }
            if read.line.text.trim().is_empty() {
                // Only escape characters: nothing was continued.
                comments = Vec::new();
                continue;
            }
            read.end = self.last();
            read.line.last = read.end;
            return Ok(Some(read));
        }
        Ok(None)
    }

    /// Appends continuation lines.
    fn continued(&mut self, read: &mut Read) -> Result<(), Error> {
        while let Some((number, text, comment)) = self.take()? {
            if comment {
                continue;
            }
            if text.trim().is_empty() {
                read.empty_continuation = true;
                continue;
            }
            let (part, ends) = self.part(text);
            append(&mut read.line, part, number, 1);
            if ends {
                break;
            }
        }
        Ok(())
    }

    /// A line without the escape character at its end, and whether there was none. One that is
    /// escaped itself is none.
    fn part(&self, line: &'a str) -> (&'a str, bool) {
        let trimmed = line.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(self.escape) {
            Some(part) if !part.ends_with(self.escape) => (part, false),
            _ => (line, true),
        }
    }

    /// Reads the documents that an instruction's line opens.
    pub(super) fn documents(
        &mut self,
        line: &Line,
        parsed: &Parsed,
    ) -> Result<Vec<(Opened, Heredoc, String)>, Error> {
        let opened =
            heredoc::opened(parsed, &line.text).map_err(|fault| line.error(self.file, fault))?;
        let mut documents = Vec::new();
        for open in opened {
            let mut content = String::new();
            let mut raw = String::new();
            loop {
                let Some((number, text, _)) = self.take()? else {
                    return Err(line.error(self.file, open.unterminated()));
                };
                let (written, whole) = &self.file.lines[number as usize - 1];
                if !whole {
                    return Err(self.file.error(number, 1, "the line is not UTF-8"));
                }
                let tabless = |text: &'a str| {
                    if open.tabs {
                        text.trim_start_matches('\t')
                    } else {
                        text
                    }
                };
                if tabless(text) == open.name {
                    break;
                }
                content.push_str(tabless(written));
                raw.push_str(written);
            }
            let heredoc = Heredoc {
                name: open.name.clone(),
                content,
                expand: open.expand,
            };
            documents.push((open, heredoc, raw));
        }
        Ok(documents)
    }
}

fn append(line: &mut Line, part: &str, number: u32, column: usize) {
    line.pieces.push(Piece {
        at: line.text.len(),
        line: number,
        column: u32::try_from(column).unwrap_or(u32::MAX),
    });
    line.text.push_str(part);
}
