//! Cuts a template into tokens.
//!
//! The whole text is cut before parsing starts: formats are short, and the parser then looks
//! ahead by indexing. The first error ends the list, so the parser reports it only if nothing
//! before it was wrong, which is the order Go reports in.

use crate::quote::quote;
use crate::runes::code_point;
use crate::token::{Kind, Token, Word};

/// The spaces that trim markers remove and that separate operands.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// The tokens of `text`; the last one is the end or an error.
pub(crate) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        pos: 0,
        start: 0,
        line: 1,
        counted: 0,
        tokens: Vec::new(),
    };
    if let Err(message) = lexer.run() {
        lexer.push(Kind::Error, message);
    }
    lexer.tokens
}

struct Lexer<'t> {
    text: &'t str,
    /// Everything before is read.
    pos: usize,
    /// Where the token being read starts.
    start: usize,
    /// The line of the byte at `counted`.
    line: usize,
    counted: usize,
    tokens: Vec<Token>,
}

impl<'t> Lexer<'t> {
    fn run(&mut self) -> Result<(), String> {
        while self.text_until_action() {
            self.pos += 2;
            let trim = trims_left(self.rest());
            let body = self.pos + if trim { 2 } else { 0 };
            if self.text[body..].starts_with("/*") {
                self.skip_to(body);
                self.comment()?;
                continue;
            }
            self.emit(Kind::LeftDelim);
            self.skip_to(body);
            self.action()?;
        }
        self.emit(Kind::Eof);
        Ok(())
    }

    fn rest(&self) -> &'t str {
        &self.text[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_to(&mut self, pos: usize) {
        self.pos = pos;
        self.start = pos;
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        let spaces = rest.len() - rest.trim_start_matches(SPACES).len();
        self.skip_to(self.pos + spaces);
    }

    fn push(&mut self, kind: Kind, text: String) {
        let between = &self.text.as_bytes()[self.counted..self.start];
        self.line += between.iter().filter(|&&byte| byte == b'\n').count();
        self.counted = self.start;
        self.tokens.push(Token {
            kind,
            pos: self.start,
            line: self.line,
            text,
        });
    }

    fn emit(&mut self, kind: Kind) {
        self.push(kind, self.text[self.start..self.pos].to_owned());
        self.start = self.pos;
    }

    fn emit_len(&mut self, kind: Kind, len: usize) {
        self.pos += len;
        self.emit(kind);
    }

    /// Emits the text before the next action, or all that is left. Tells whether there is one.
    fn text_until_action(&mut self) -> bool {
        let found = self.rest().find("{{").map(|offset| self.pos + offset);
        let end = found.unwrap_or(self.text.len());
        let mut text = &self.text[self.start..end];
        if found.is_some() && trims_left(&self.text[end + 2..]) {
            text = text.trim_end_matches(SPACES);
        }
        self.pos = self.start + text.len();
        if !text.is_empty() {
            self.emit(Kind::Text);
        }
        self.skip_to(end);
        found.is_some()
    }

    /// How an action ends here, if it does: the length of the trim marker.
    fn closing(&self) -> Option<usize> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            Some(0)
        } else if rest.starts_with(SPACES) && rest[1..].starts_with("-}}") {
            Some(2)
        } else {
            None
        }
    }

    fn comment(&mut self) -> Result<(), String> {
        let Some(end) = self.text[self.pos + 2..].find("*/") else {
            return Err("unclosed comment".into());
        };
        self.pos += 2 + end + 2;
        let Some(marker) = self.closing() else {
            return Err("comment ends before closing delimiter".into());
        };
        self.skip_to(self.pos + marker + 2);
        if marker > 0 {
            self.skip_spaces();
        }
        Ok(())
    }

    fn action(&mut self) -> Result<(), String> {
        let mut depth = 0usize;
        loop {
            if let Some(marker) = self.closing() {
                if depth > 0 {
                    return Err("unclosed left paren".into());
                }
                self.skip_to(self.pos + marker);
                self.emit_len(Kind::RightDelim, 2);
                if marker > 0 {
                    self.skip_spaces();
                }
                return Ok(());
            }
            let Some(ch) = self.peek() else {
                return Err("unclosed action".into());
            };
            match ch {
                _ if SPACES.contains(&ch) => self.space(),
                '=' => self.emit_len(Kind::Assign, 1),
                ':' if self.rest().starts_with(":=") => self.emit_len(Kind::Declare, 2),
                ':' => return Err("expected :=".into()),
                '|' => self.emit_len(Kind::Pipe, 1),
                '"' => self.quoted('"', Kind::Str, "unterminated quoted string")?,
                '\'' => self.quoted('\'', Kind::Char, "unterminated character constant")?,
                '`' => self.raw_string()?,
                '$' => self.name(Kind::Variable, Kind::Variable)?,
                // A dot at the very end counts as a number, as it does for Go.
                '.' if self.rest()[1..].starts_with(|next: char| !next.is_ascii_digit()) => {
                    self.name(Kind::Field, Kind::Word(Word::Dot))?;
                }
                '.' | '+' | '-' | '0'..='9' => self.number()?,
                _ if is_word(ch) => self.word()?,
                '(' => {
                    depth += 1;
                    self.emit_len(Kind::LeftParen, 1);
                }
                ')' => {
                    self.emit_len(Kind::RightParen, 1);
                    depth = depth
                        .checked_sub(1)
                        .ok_or_else(|| format!("unexpected right paren {}", code_point(ch)))?;
                }
                '!'..='~' => self.emit_len(Kind::Punct, 1),
                _ => {
                    return Err(format!(
                        "unrecognized character in action: {}",
                        code_point(ch)
                    ));
                }
            }
        }
    }

    /// A run of spaces, without the one that belongs to a closing trim marker.
    fn space(&mut self) {
        while self.closing().is_none() && self.peek().is_some_and(|ch| SPACES.contains(&ch)) {
            self.pos += 1;
        }
        self.emit(Kind::Space);
    }

    /// `.name` or `$name`; `alone` without a name.
    fn name(&mut self, kind: Kind, alone: Kind) -> Result<(), String> {
        self.pos += 1;
        let bare = self.at_end_of_name();
        if !bare {
            self.take_word();
        }
        self.check_end_of_name()?;
        self.emit(if bare { alone } else { kind });
        Ok(())
    }

    fn word(&mut self) -> Result<(), String> {
        self.take_word();
        self.check_end_of_name()?;
        let word = &self.text[self.start..self.pos];
        self.emit(match word {
            "true" | "false" => Kind::Bool,
            _ => Word::from_text(word).map_or(Kind::Ident, Kind::Word),
        });
        Ok(())
    }

    fn take_word(&mut self) {
        let rest = self.rest();
        self.pos += rest.len() - rest.trim_start_matches(is_word).len();
    }

    fn at_end_of_name(&self) -> bool {
        self.peek()
            .is_none_or(|ch| SPACES.contains(&ch) || ".,|:)(".contains(ch))
            || self.rest().starts_with("}}")
    }

    fn check_end_of_name(&self) -> Result<(), String> {
        match self.peek() {
            Some(ch) if !self.at_end_of_name() => Err(format!("bad character {}", code_point(ch))),
            _ => Ok(()),
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind, error: &str) -> Result<(), String> {
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, mut ch)) = chars.next() {
            if ch == quote {
                self.emit_len(kind, offset + 1);
                return Ok(());
            }
            if ch == '\\' {
                ch = chars.next().map_or('\n', |(_, escaped)| escaped);
            }
            if ch == '\n' {
                break;
            }
        }
        Err(error.into())
    }

    fn raw_string(&mut self) -> Result<(), String> {
        let Some(end) = self.rest()[1..].find('`') else {
            return Err("unterminated raw quoted string".into());
        };
        self.emit_len(Kind::RawString, end + 2);
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        let mut kind = Kind::Number;
        let mut good = self.scan_number();
        if good && self.rest().starts_with(['+', '-']) {
            kind = Kind::Complex;
            good = self.scan_number() && self.text[..self.pos].ends_with('i');
        }
        if !good {
            let text = &self.text.as_bytes()[self.start..self.pos];
            return Err(format!("bad number syntax: {}", quote(text, false)));
        }
        self.emit(kind);
        Ok(())
    }

    fn take_any(&mut self, set: &str) -> bool {
        let found = self.rest().starts_with(|ch| set.contains(ch));
        self.pos += usize::from(found);
        found
    }

    fn take_all(&mut self, set: &str) {
        while self.take_any(set) {}
    }

    /// Reads what may be a number; whether it is one shows when it is evaluated.
    fn scan_number(&mut self) -> bool {
        const DECIMAL: &str = "0123456789_";
        self.take_any("+-");
        let mut digits = DECIMAL;
        let mut exponent = "eE";
        if self.take_any("0") {
            if self.take_any("xX") {
                digits = "0123456789abcdefABCDEF_";
                exponent = "pP";
            } else if self.take_any("oO") {
                digits = "01234567_";
                exponent = "";
            } else if self.take_any("bB") {
                digits = "01_";
                exponent = "";
            }
        }
        self.take_all(digits);
        if self.take_any(".") {
            self.take_all(digits);
        }
        if self.take_any(exponent) {
            self.take_any("+-");
            self.take_all(DECIMAL);
        }
        self.take_any("i");
        match self.peek() {
            Some(ch) if is_word(ch) => {
                self.pos += ch.len_utf8();
                false
            }
            _ => true,
        }
    }
}

fn trims_left(action: &str) -> bool {
    action
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(SPACES))
}

fn is_word(ch: char) -> bool {
    ch == '_' || ch.is_alphanumeric()
}
