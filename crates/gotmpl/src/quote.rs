//! Go's string literals: writing them (`%q`, errors) and reading them (constants in templates).

use crate::runes::{is_print, runes};

/// The error Go gives for every malformed literal.
pub(crate) const INVALID_SYNTAX: &str = "invalid syntax";

/// `bytes` as a double-quoted Go string; with `ascii`, other characters are escaped.
pub(crate) fn quote(bytes: &[u8], ascii: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    let mut at = 0;
    for rune in runes(bytes) {
        if rune.valid {
            escape(&mut out, rune.ch, '"', ascii);
        } else {
            out.push_str(&format!("\\x{:02x}", bytes[at]));
        }
        at += rune.len;
    }
    out.push('"');
    out
}

/// `ch` as a single-quoted Go character.
pub(crate) fn quote_char(ch: char, ascii: bool) -> String {
    let mut out = String::from("'");
    escape(&mut out, ch, '\'', ascii);
    out.push('\'');
    out
}

fn escape(out: &mut String, ch: char, quote: char, ascii: bool) {
    let code = u32::from(ch);
    match ch {
        _ if ch == quote || ch == '\\' => out.extend(['\\', ch]),
        _ if is_print(ch) && (ch.is_ascii() || !ascii) => out.push(ch),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        '\0'..='\x7f' => out.push_str(&format!("\\x{code:02x}")),
        _ if code < 0x10000 => out.push_str(&format!("\\u{code:04x}")),
        _ => out.push_str(&format!("\\U{code:08x}")),
    }
}

/// Whether Go would accept the bytes between backquotes on one line.
pub(crate) fn can_backquote(bytes: &[u8]) -> bool {
    runes(bytes).all(|rune| {
        rune.valid
            && !matches!(rune.ch, '`' | '\u{7f}' | '\u{feff}')
            && (rune.ch >= ' ' || rune.ch == '\t')
    })
}

/// The value of a string literal, in double quotes or backquotes.
pub(crate) fn unquote(literal: &str) -> Result<Vec<u8>, &'static str> {
    let inner = |quote| literal.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(raw) = inner('`') {
        return Ok(raw.bytes().filter(|&byte| byte != b'\r').collect());
    }
    let mut rest = inner('"').ok_or(INVALID_SYNTAX)?;
    let mut out = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (piece, tail) = unquote_char(rest, '"')?;
        match piece {
            Piece::Byte(byte) => out.push(byte),
            Piece::Char(ch) => out.extend_from_slice(ch.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = tail;
    }
    Ok(out)
}

/// One element of a literal: `\x` and octal escapes name bytes, all else characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A byte that need not be UTF-8.
    Byte(u8),
    /// A character.
    Char(char),
}

impl Piece {
    /// The number a character constant stands for.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Byte(byte) => u32::from(byte),
            Self::Char(ch) => u32::from(ch),
        }
    }
}

/// Reads one element of a literal delimited by `quote` and returns what follows it.
pub(crate) fn unquote_char(text: &str, quote: char) -> Result<(Piece, &str), &'static str> {
    let mut chars = text.chars();
    let first = chars.next().ok_or(INVALID_SYNTAX)?;
    if first == quote {
        return Err(INVALID_SYNTAX);
    }
    if first != '\\' {
        return Ok((Piece::Char(first), chars.as_str()));
    }
    let kind = chars.next().ok_or(INVALID_SYNTAX)?;
    let rest = chars.as_str();
    let simple = match kind {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        '\'' | '"' if kind == quote => kind,
        'x' | 'u' | 'U' => return hex_escape(kind, rest),
        '0'..='7' => {
            let digits = text.get(1..4).ok_or(INVALID_SYNTAX)?;
            let byte = u8::from_str_radix(digits, 8).map_err(|_| INVALID_SYNTAX)?;
            return Ok((Piece::Byte(byte), &text[4..]));
        }
        _ => return Err(INVALID_SYNTAX),
    };
    Ok((Piece::Char(simple), rest))
}

fn hex_escape(kind: char, rest: &str) -> Result<(Piece, &str), &'static str> {
    let count = match kind {
        'x' => 2,
        'u' => 4,
        _ => 8,
    };
    let digits = rest.get(..count).ok_or(INVALID_SYNTAX)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(INVALID_SYNTAX);
    }
    let code = u32::from_str_radix(digits, 16).map_err(|_| INVALID_SYNTAX)?;
    let piece = match u8::try_from(code) {
        Ok(byte) if kind == 'x' => Piece::Byte(byte),
        _ => Piece::Char(char::from_u32(code).ok_or(INVALID_SYNTAX)?),
    };
    Ok((piece, &rest[count..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_round_trip() {
        for text in [
            "plain",
            "tab\tquote\" back\\",
            "ünï 漢 😀",
            "\u{200b}\u{7f}\u{1}",
        ] {
            let literal = quote(text.as_bytes(), false);
            assert_eq!(unquote(&literal), Ok(text.as_bytes().to_vec()), "{literal}");
            let literal = quote(text.as_bytes(), true);
            assert!(literal.is_ascii());
            assert_eq!(unquote(&literal), Ok(text.as_bytes().to_vec()), "{literal}");
        }
        assert_eq!(quote(b"a\xff", false), r#""a\xff""#);
        assert_eq!(unquote(r#""\xff\101""#), Ok(vec![0xff, b'A']));
    }

    #[test]
    fn malformed_literals_are_refused() {
        for bad in [
            r#""\q""#,
            r#""\x1""#,
            r#""\400""#,
            r#""\ud800""#,
            r#""a"#,
            r#""\'""#,
            "\"",
            "\"\\+12\"",
        ] {
            assert_eq!(unquote(bad), Err(INVALID_SYNTAX), "{bad}");
        }
    }
}
