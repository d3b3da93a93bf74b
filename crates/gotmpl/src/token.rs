//! The pieces the lexer cuts a template into, and how errors name them.

use std::fmt;

use crate::quote::quote;
use crate::runes::prefix;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Lexing failed here; the text says why. Always the last token.
    Error,
    /// `true` or `false`.
    Bool,
    /// A character without a meaning of its own, and the comma.
    Punct,
    /// `'x'`.
    Char,
    /// `1+2i`.
    Complex,
    /// `=`.
    Assign,
    /// `:=`.
    Declare,
    /// The end of the text. Always the last token.
    Eof,
    /// `.name`.
    Field,
    /// The name of a function.
    Ident,
    /// `{{`.
    LeftDelim,
    /// `(`.
    LeftParen,
    /// A number.
    Number,
    /// `|`.
    Pipe,
    /// A string in backquotes.
    RawString,
    /// `}}`.
    RightDelim,
    /// `)`.
    RightParen,
    /// A run of spaces inside an action.
    Space,
    /// A string in double quotes.
    Str,
    /// Text outside actions.
    Text,
    /// `$name`.
    Variable,
    /// A reserved word.
    Word(Word),
}

/// The reserved words, and the dot, which Go counts among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Word {
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl Word {
    /// The word spelled `text`.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "block" => Self::Block,
            "break" => Self::Break,
            "continue" => Self::Continue,
            "define" => Self::Define,
            "else" => Self::Else,
            "end" => Self::End,
            "if" => Self::If,
            "nil" => Self::Nil,
            "range" => Self::Range,
            "template" => Self::Template,
            "with" => Self::With,
            _ => return None,
        })
    }
}

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it starts, in bytes.
    pub(crate) pos: usize,
    /// The line it starts on, from 1.
    pub(crate) line: usize,
    /// Its text, or what is wrong.
    pub(crate) text: String,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.as_bytes();
        match self.kind {
            Kind::Eof => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            Kind::Word(_) => write!(f, "<{}>", self.text),
            _ if text.len() > 10 => write!(f, "{}...", quote(prefix(text, 10), false)),
            _ => f.write_str(&quote(text, false)),
        }
    }
}
