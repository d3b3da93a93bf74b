//! Reads a word character by character.

use super::Variables;
use super::pattern::Pattern;

/// Modifiers within modifiers: deeper than anybody writes, shallow enough for the stack.
const DEEPEST: usize = 64;
/// Words whose variables hold variables of themselves grow by doubling; this ends it.
const LONGEST: usize = 1 << 20;

/// What is left as it was written.
#[derive(Clone, Copy, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "switches that go with one another in any way"
)]
pub(super) struct Mode {
    /// Quotes do what they do, and stay.
    pub(super) keep_quotes: bool,
    /// Escape characters do what they do, and stay.
    pub(super) keep_escapes: bool,
    /// Quotes are characters as others.
    pub(super) quotes_are_text: bool,
    /// Variables without a value stay as they are written.
    pub(super) keep_unset: bool,
}

/// What came of a text.
#[derive(Default)]
pub(super) struct Read {
    pub(super) text: String,
    pub(super) words: Vec<String>,
    pub(super) unmatched: Vec<String>,
}

/// Collects words, that end at white space outside quotes.
#[derive(Default)]
struct Words {
    word: String,
    words: Vec<String>,
}

impl Words {
    fn split(&mut self, text: &str) {
        for c in text.chars() {
            if !c.is_whitespace() {
                self.word.push(c);
            } else if !self.word.is_empty() {
                self.words.push(std::mem::take(&mut self.word));
            }
        }
    }

    fn end(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

pub(super) struct Lexer<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    escape: char,
    variables: &'a dyn Variables,
    mode: Mode,
    unmatched: Vec<String>,
    depth: usize,
    /// What has been made so far, also what was thrown away again.
    made: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(
        text: &'a str,
        escape: char,
        variables: &'a dyn Variables,
        mode: Mode,
    ) -> Self {
        Self {
            chars: text.chars().peekable(),
            escape,
            variables,
            mode,
            unmatched: Vec::new(),
            depth: 0,
            made: 0,
        }
    }

    /// Reads to the end; errors quote the whole as BuildKit does.
    pub(super) fn read(mut self, source: &str) -> Result<Read, String> {
        let (text, words) = self
            .all()
            .map_err(|why| format!("failed to process {}: {why}", quote(source)))?;
        Ok(Read {
            text,
            words,
            unmatched: self.unmatched,
        })
    }

    pub(super) fn all(&mut self) -> Result<(String, Vec<String>), String> {
        self.until(None, self.mode.keep_escapes)
    }

    /// Reads to a character, which is taken too, or to the end.
    fn until(
        &mut self,
        stop: Option<char>,
        keep_escapes: bool,
    ) -> Result<(String, Vec<String>), String> {
        if self.depth > DEEPEST {
            return Err("substitutions are nested too deeply".to_owned());
        }
        self.depth += 1;
        let before = std::mem::replace(&mut self.mode.keep_escapes, keep_escapes);
        let read = self.piece(stop);
        self.mode.keep_escapes = before;
        self.depth -= 1;
        read
    }

    fn piece(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), String> {
        let mut text = String::new();
        let mut words = Words::default();
        while let Some(c) = self.chars.peek().copied() {
            if Some(c) == stop {
                self.chars.next();
                return Ok((text, words.end()));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    self.count(value.len())?;
                    words.split(&value);
                    text.push_str(&value);
                }
                '\'' | '"' if !self.mode.quotes_are_text => {
                    let value = self.quoted(c)?;
                    words.word.push_str(&value);
                    text.push_str(&value);
                }
                _ if c == self.escape => {
                    self.chars.next();
                    if self.mode.keep_escapes {
                        words.word.push(c);
                        text.push(c);
                    }
                    let Some(next) = self.chars.next() else {
                        break;
                    };
                    words.word.push(next);
                    text.push(next);
                }
                _ => {
                    self.chars.next();
                    words.split(c.encode_utf8(&mut [0; 4]));
                    text.push(c);
                }
            }
        }
        match stop {
            Some(stop) => Err(format!(
                "unexpected end of statement while looking for matching {stop}"
            )),
            None => Ok((text, words.end())),
        }
    }

    fn count(&mut self, length: usize) -> Result<(), String> {
        self.made += length;
        if self.made > LONGEST {
            return Err(format!("the values make it longer than {LONGEST} bytes"));
        }
        Ok(())
    }

    /// `'…'`, where nothing is special, or `"…"`, where `$` is and some things can be escaped.
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        self.chars.next();
        if self.mode.keep_quotes {
            text.push(quote);
        }
        loop {
            let Some(c) = self.chars.peek().copied() else {
                let kind = if quote == '"' { "double" } else { "single" };
                return Err(format!(
                    "unexpected end of statement while looking for matching {kind}-quote"
                ));
            };
            if c == '$' && quote == '"' {
                let value = self.dollar()?;
                self.count(value.len())?;
                text.push_str(&value);
                continue;
            }
            self.chars.next();
            if c == quote {
                if self.mode.keep_quotes {
                    text.push(quote);
                }
                return Ok(text);
            }
            if c != self.escape || quote == '\'' {
                text.push(c);
                continue;
            }
            match self.chars.peek().copied() {
                // The missing quote is told in the next round.
                None => {}
                Some(next) if next == '"' || next == '$' || next == self.escape => {
                    self.chars.next();
                    if self.mode.keep_escapes {
                        text.push(c);
                    }
                    text.push(next);
                }
                Some(_) => text.push(c),
            }
        }
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.chars.next();
        if self.chars.peek() != Some(&'{') {
            let name = self.name();
            return Ok(match self.value(&name, true) {
                _ if name.is_empty() => "$".to_owned(),
                None if self.mode.keep_unset => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.chars.next();
        match self.chars.peek() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        match self.chars.next() {
            None => Err("syntax error: missing '}'".to_owned()),
            Some('}') => Ok(match self.value(&name, true) {
                None if self.mode.keep_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            Some(':') => {
                let modifier = self.chars.next();
                self.modified(&name, true, modifier)
            }
            Some('/') => self.replaced(&name),
            modifier => self.modified(&name, false, modifier),
        }
    }

    /// `${name-word}` and its like; with a colon before the modifier empty counts as not set.
    fn modified(
        &mut self,
        name: &str,
        colon: bool,
        modifier: Option<char>,
    ) -> Result<String, String> {
        let Some(modifier) = modifier else {
            return Err("syntax error: missing '}'".to_owned());
        };
        let written = format!("{}{modifier}", if colon { ":" } else { "" });
        if !matches!(modifier, '-' | '+' | '?' | '#' | '%') {
            return Err(format!("unsupported modifier ({written}) in substitution"));
        }
        let trims = matches!(modifier, '#' | '%');
        let word = self.argument('}', trims)?;
        let value = self.value(name, trims);
        if value.is_none() && self.mode.keep_unset {
            return Ok(format!("${{{name}{written}{word}}}"));
        }
        let full = value.as_deref().is_some_and(|v| !(colon && v.is_empty()));
        let set = value.is_some();
        let value = value.unwrap_or_default();
        match modifier {
            '-' if full => Ok(value),
            '+' if !full => Ok(String::new()),
            '-' | '+' => Ok(word),
            '?' if full => Ok(value),
            '?' if !word.is_empty() => Err(format!("{name}: {word}")),
            '?' if set => Err(format!("{name}: is not allowed to be empty")),
            '?' => Err(format!("{name}: is not allowed to be unset")),
            _ => {
                let longest = word.starts_with(modifier);
                let pattern = word.strip_prefix(modifier).unwrap_or(&word);
                let parsed = Pattern::parse(pattern)
                    .map_err(|why| format!("invalid pattern ({pattern}) in substitution: {why}"))?;
                Ok(if modifier == '#' {
                    parsed.without_prefix(&value, longest)
                } else {
                    parsed.without_suffix(&value, longest)
                })
            }
        }
    }

    /// `${name/pattern/replacement}`; with `//` every place.
    fn replaced(&mut self, name: &str) -> Result<String, String> {
        let all = self.chars.peek() == Some(&'/');
        if all {
            self.chars.next();
        }
        let pattern = match self.until(Some('/'), true) {
            Err(_) if self.chars.peek().is_none() => {
                return Err("syntax error: missing '/' in ${}".to_owned());
            }
            read => read?.0,
        };
        let replacement = self.argument('}', true)?;
        let Some(value) = self.value(name, true) else {
            return Ok(if self.mode.keep_unset {
                let slashes = if all { "//" } else { "/" };
                format!("${{{name}{slashes}{pattern}/{replacement}}}")
            } else {
                String::new()
            });
        };
        let parsed = Pattern::parse(&pattern)
            .map_err(|why| format!("invalid pattern ({pattern}) in substitution: {why}"))?;
        parsed
            .replace(&value, &replacement, all, LONGEST)
            .ok_or_else(|| format!("the values make it longer than {LONGEST} bytes"))
    }

    fn argument(&mut self, stop: char, keep_escapes: bool) -> Result<String, String> {
        match self.until(Some(stop), keep_escapes) {
            Err(_) if self.chars.peek().is_none() && self.depth <= DEEPEST => {
                Err("syntax error: missing '}'".to_owned())
            }
            read => Ok(read?.0),
        }
    }

    /// Letters, digits and `_`; or digits only; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.chars.peek().copied() {
            if name.is_empty() && c.is_numeric() {
                while let Some(digit) = self.chars.next_if(|c| c.is_numeric()) {
                    name.push(digit);
                }
                break;
            }
            if name.is_empty() && matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
                self.chars.next();
                name.push(c);
                break;
            }
            if !c.is_alphanumeric() && c != '_' {
                break;
            }
            self.chars.next();
            name.push(c);
        }
        name
    }

    fn value(&mut self, name: &str, told: bool) -> Option<String> {
        if name.is_empty() {
            return None;
        }
        let value = self.variables.get(name);
        if value.is_none() && told && !self.unmatched.iter().any(|known| known == name) {
            self.unmatched.push(name.to_owned());
        }
        value
    }
}

/// A text in double quotes, as Go's `%q` writes it.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
