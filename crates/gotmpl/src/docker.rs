//! The functions docker adds to Go's.

use crate::runes::runes;
use crate::value::{List, Val, Value};

/// More spaces than this are refused rather than allocated.
const MAX_PAD: i64 = 1_000_000;

/// `split text separator`.
pub(crate) fn split<'a>(text: &[u8], separator: &[u8]) -> Value<'a> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    if separator.is_empty() {
        let mut at = 0;
        for rune in runes(text) {
            // Broken bytes come out as the character that stands for them.
            parts.push(if rune.valid {
                text[at..at + rune.len].to_vec()
            } else {
                "\u{fffd}".into()
            });
            at += rune.len;
        }
    } else {
        let mut rest = text;
        while let Some(at) = rest
            .windows(separator.len())
            .position(|part| part == separator)
        {
            parts.push(rest[..at].to_vec());
            rest = &rest[at + separator.len()..];
        }
        parts.push(rest.to_vec());
    }
    let count = parts.len();
    Value::new(Val::List(List::Owned(parts.into(), 0, count)))
}

/// `join list separator`.
pub(crate) fn join(list: &List<'_>, separator: &[u8]) -> Vec<u8> {
    let parts: Vec<_> = list
        .iter()
        .filter_map(|value| match value.val {
            Val::Str(text) => Some(text),
            _ => None,
        })
        .collect();
    parts.join(separator)
}

/// Upper case, character by character: one never becomes two.
pub(crate) fn upper(text: &[u8]) -> Vec<u8> {
    map(text, to_upper)
}

/// Lower case, character by character.
pub(crate) fn lower(text: &[u8]) -> Vec<u8> {
    map(text, |ch| ch.to_lowercase().next().unwrap_or(ch))
}

fn to_upper(ch: char) -> char {
    let mut upper = ch.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => ch,
    }
}

fn map(text: &[u8], change: impl Fn(char) -> char) -> Vec<u8> {
    runes(text)
        .map(|rune| change(rune.ch))
        .collect::<String>()
        .into_bytes()
}

/// A capital letter at the start of every word.
pub(crate) fn title(text: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    let mut previous = ' ';
    for rune in runes(text) {
        out.push(if separates(previous) {
            to_upper(rune.ch)
        } else {
            rune.ch
        });
        previous = rune.ch;
    }
    out.into_bytes()
}

fn separates(ch: char) -> bool {
    if ch.is_ascii() {
        !ch.is_ascii_alphanumeric() && ch != '_'
    } else {
        !ch.is_alphanumeric() && ch.is_whitespace()
    }
}

/// `pad text before after`: spaces around a text that is not empty.
pub(crate) fn pad(text: &[u8], before: i64, after: i64) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    Ok([spaces(before)?, text.to_vec(), spaces(after)?].concat())
}

fn spaces(count: i64) -> Result<Vec<u8>, String> {
    if count > MAX_PAD {
        return Err(format!(
            "{count} spaces are too many; at most {MAX_PAD} can be added"
        ));
    }
    let count = usize::try_from(count).map_err(|_| "strings: negative Repeat count")?;
    Ok(vec![b' '; count])
}

/// `truncate text length`: at most so many bytes.
pub(crate) fn truncate(text: &[u8], length: i64) -> Result<Vec<u8>, String> {
    let length = usize::try_from(length)
        .map_err(|_| format!("runtime error: slice bounds out of range [:{length}]"))?;
    Ok(text[..length.min(text.len())].to_vec())
}
