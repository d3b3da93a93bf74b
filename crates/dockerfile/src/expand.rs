//! Variables in words: `$x`, `${x}` and its modifiers, quotes and escapes, as BuildKit's shell
//! lexer has them.

mod lexer;
mod pattern;

use lexer::{Lexer, Mode};

/// Where the values of variables come from.
pub trait Variables {
    /// The value of one, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

/// An expanded word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// Names of variables in it that had no value, those with a modifier for that case left out.
    pub unmatched: Vec<String>,
}

/// Expands one word and takes its quotes away.
///
/// # Errors
/// Bad syntax, or a variable that must be set (`${x:?…}`).
pub fn expand(word: &str, escape: char, variables: &dyn Variables) -> Result<Expanded, String> {
    let read = Lexer::new(word, escape, variables, Mode::default()).read(word)?;
    Ok(Expanded {
        text: read.text,
        unmatched: read.unmatched,
    })
}

/// Expands text and splits it at white space outside quotes.
///
/// # Errors
/// As [`expand`].
pub fn expand_words(
    text: &str,
    escape: char,
    variables: &dyn Variables,
) -> Result<Vec<String>, String> {
    let read = Lexer::new(text, escape, variables, Mode::default()).read(text)?;
    Ok(read.words)
}

/// Expands variables and keeps quotes: the content of a heredoc in `COPY` and `ADD`. As in
/// BuildKit the escape character still escapes what follows it, whatever that is.
///
/// # Errors
/// As [`expand`].
pub fn expand_raw(text: &str, escape: char, variables: &dyn Variables) -> Result<Expanded, String> {
    let mode = Mode {
        quotes_are_text: true,
        ..Mode::default()
    };
    let read = Lexer::new(text, escape, variables, mode).read(text)?;
    Ok(Expanded {
        text: read.text,
        unmatched: read.unmatched,
    })
}

struct Nothing;

impl Variables for Nothing {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}

/// Whether a word could be expanded, whatever variables are worth.
pub(crate) fn syntax(word: &str, escape: char) -> Result<(), String> {
    let mode = Mode {
        keep_unset: true,
        ..Mode::default()
    };
    let mut lexer = Lexer::new(word, escape, &Nothing, mode);
    lexer.all().map(drop)
}

/// Splits text at white space outside quotes and keeps everything as it is.
pub(crate) fn split_raw(text: &str) -> Result<Vec<String>, String> {
    let mode = Mode {
        keep_quotes: true,
        keep_escapes: true,
        keep_unset: true,
        ..Mode::default()
    };
    Ok(Lexer::new(text, '\\', &Nothing, mode).read(text)?.words)
}

/// Splits text at white space outside quotes and takes quotes and escapes away.
pub(crate) fn split_unquoted(text: &str) -> Result<Vec<String>, String> {
    let mode = Mode {
        keep_unset: true,
        ..Mode::default()
    };
    Ok(Lexer::new(text, '\\', &Nothing, mode).read(text)?.words)
}

#[cfg(test)]
mod tests;
