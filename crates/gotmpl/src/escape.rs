//! `html`, `js` and `urlquery`.

use crate::fmt::sprint;
use crate::runes::{is_print, runes};
use crate::value::Value;

/// All arguments as one text, as they would be printed by an action.
fn text(args: Vec<Value<'_>>) -> Vec<u8> {
    let shown: Vec<_> = args
        .into_iter()
        .map(|arg| match arg.val {
            crate::value::Val::Invalid | crate::value::Val::Nil => Value::string("<no value>"),
            _ => arg,
        })
        .collect();
    sprint(&shown)
}

/// For the text of an HTML page.
pub(crate) fn html(args: Vec<Value<'_>>) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in text(args) {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            _ => out.push(byte),
        }
    }
    out
}

/// For a string in JavaScript.
pub(crate) fn js(args: Vec<Value<'_>>) -> Vec<u8> {
    let mut out = String::new();
    for rune in runes(&text(args)) {
        let code = u32::from(rune.ch);
        match rune.ch {
            '\\' | '\'' | '"' => out.extend(['\\', rune.ch]),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => out.push_str(&format!("\\u{code:04X}")),
            ch if ch.is_ascii() || is_print(ch) => out.push(ch),
            _ => out.push_str(&format!("\\u{code:04X}")),
        }
    }
    out.into_bytes()
}

/// For a value in the query of a URL.
pub(crate) fn urlquery(args: Vec<Value<'_>>) -> Vec<u8> {
    query_escape(&text(args)).into_bytes()
}

/// `text` as Go's `url.QueryEscape` writes it.
#[must_use]
pub fn query_escape(text: &[u8]) -> String {
    let mut out = String::new();
    for &byte in text {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
