//! A file's lines, and places in them.

use std::borrow::Cow;

use crate::draw::draw;
use crate::{Error, Span};

/// What is wrong with an instruction: a place in its joined line, and words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    /// Where in the joined line, in bytes.
    pub(crate) at: usize,
    /// How much of it, in bytes.
    pub(crate) length: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(place: Text<'_>, message: impl Into<String>) -> Self {
        Self {
            at: place.at,
            length: place.text.len(),
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Proposes the nearest of `names`, if one is near.
    pub(crate) fn meant(mut self, written: &str, names: &[&str]) -> Self {
        if let Some(name) = crate::suggest::nearest(written, names) {
            self.hint = Some(format!("did you mean {name}?"));
        }
        self
    }
}

/// A part of a joined line that knows where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Text<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
}

impl<'a> Text<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// From a byte to another of it.
    pub(crate) fn part(self, from: usize, to: usize) -> Self {
        Self {
            text: &self.text[from..to],
            at: self.at + from,
        }
    }

    pub(crate) fn from(self, from: usize) -> Self {
        self.part(from, self.text.len())
    }

    pub(crate) fn trim(self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        let end = self.text.trim_end().len();
        self.part(start, end.max(start))
    }

    /// Splits at the first white space.
    pub(crate) fn split_word(self) -> (Self, Self) {
        let all = self.trim();
        let end = all.text.find(is_blank).unwrap_or(all.text.len());
        (all.part(0, end), all.from(end).trim())
    }

    /// Splits at all white space.
    pub(crate) fn words(self) -> Vec<Self> {
        let mut words = Vec::new();
        let mut rest = self.trim();
        while !rest.text.is_empty() {
            let (word, next) = rest.split_word();
            words.push(word);
            rest = next;
        }
        words
    }
}

/// White space that separates words.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c')
}

/// A file.
pub(crate) struct File<'a> {
    pub(crate) name: &'a str,
    /// Its lines with their ends; false where bytes are no UTF-8.
    pub(crate) lines: Vec<(Cow<'a, str>, bool)>,
}

impl<'a> File<'a> {
    pub(crate) fn new(name: &'a str, text: &'a [u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let lines = text
            .split_inclusive(|b| *b == b'\n')
            .map(|line| {
                let decoded = String::from_utf8_lossy(line);
                let whole = matches!(decoded, Cow::Borrowed(_));
                (decoded, whole)
            })
            .collect();
        Self { name, lines }
    }

    /// The line with that number, without its end.
    pub(crate) fn line(&self, number: u32) -> &str {
        let line = self.lines.get(number.saturating_sub(1) as usize);
        line.map_or("", |(line, _)| line.trim_end_matches(['\n', '\r']))
    }

    /// An error at a place of a line.
    pub(crate) fn error(&self, line: u32, column: u32, message: impl Into<String>) -> Error {
        let text = self.line(line);
        Error {
            message: message.into(),
            span: Span {
                line,
                column,
                end_line: line,
            },
            hint: None,
            name: self.name.to_owned(),
            drawing: draw(None, (line, text), column, 1),
        }
    }
}

/// A line with its continuation lines joined.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Where each part of the text came from.
    pub(crate) pieces: Vec<Piece>,
    /// The last line of the instruction, its heredocs included.
    pub(crate) last: u32,
}

/// Where a part of a joined line came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// The first byte in the joined line.
    pub(crate) at: usize,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Line {
    /// The line and column of a byte.
    pub(crate) fn place(&self, at: usize) -> (u32, u32) {
        let next = self.pieces.partition_point(|piece| piece.at <= at);
        let Some(piece) = self.pieces.get(next.saturating_sub(1)) else {
            return (1, 1);
        };
        let end = at.min(self.text.len());
        let before = self.text.get(piece.at..end).unwrap_or_default();
        let before = u32::try_from(before.chars().count()).unwrap_or(u32::MAX);
        (piece.line, piece.column.saturating_add(before))
    }

    pub(crate) fn span(&self, at: usize) -> Span {
        let (line, column) = self.place(at);
        Span {
            line,
            column,
            end_line: self.last,
        }
    }

    /// The fault as an error of the file.
    pub(crate) fn error(&self, file: &File<'_>, fault: Fault) -> Error {
        let span = self.span(fault.at);
        let end = (fault.at + fault.length).min(self.text.len());
        let marked = self.text.get(fault.at..end).unwrap_or_default();
        let first = self.pieces.first().map_or(1, |piece| piece.line);
        let first = (first < span.line).then(|| (first, file.line(first)));
        Error {
            message: fault.message,
            span,
            hint: fault.hint,
            name: file.name.to_owned(),
            drawing: draw(
                first,
                (span.line, file.line(span.line)),
                span.column,
                marked.chars().count(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_know_where_they_stand() {
        let words = Text::new("  a \t bc  ").words();
        let found: Vec<_> = words.iter().map(|w| (w.text, w.at)).collect();
        assert_eq!(found, [("a", 2), ("bc", 6)]);
        assert_eq!(Text::new("   ").trim().text, "");
    }

    #[test]
    fn places_are_those_of_the_file() {
        let line = Line {
            text: "RUN a  é b".into(),
            pieces: vec![
                Piece {
                    at: 0,
                    line: 3,
                    column: 1,
                },
                Piece {
                    at: 6,
                    line: 5,
                    column: 1,
                },
            ],
            last: 5,
        };
        assert_eq!(line.place(4), (3, 5));
        assert_eq!(line.place(10), (5, 4));
    }
}
