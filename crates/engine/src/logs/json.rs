//! One line of a `json-file`: read by hand where our own shim wrote it, and by serde otherwise.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use serde::Deserialize;

/// A record, its text still as JSON has it.
pub(super) struct Line<'a> {
    /// With escapes, without quotes.
    pub(super) text: Cow<'a, [u8]>,
    /// Whether `text` is already what it stands for.
    pub(super) plain: bool,
    pub(super) stderr: bool,
    pub(super) time: Cow<'a, str>,
    /// The text of a JSON object.
    pub(super) attrs: Option<Cow<'a, [u8]>>,
}

const LOG: &[u8] = b"{\"log\":\"";
const OUT: &[u8] = b"\",\"stream\":\"stdout\",";
const ERR: &[u8] = b"\",\"stream\":\"stderr\",";
const TIME: &[u8] = b"\"time\":\"";
const ATTRS: &[u8] = b"\"attrs\":";
/// `2026-11-21T07:20:00.123456789Z"}`.
const STAMP: usize = 30;
const END: &[u8] = b"\"}";

/// Reads a line without its newline; nothing if it is damaged.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    quick(line).or_else(|| slow(line))
}

fn quick(line: &[u8]) -> Option<Line<'_>> {
    let rest = line.strip_prefix(LOG)?.strip_suffix(END)?;
    let (rest, time) = rest.split_at_checked(rest.len().checked_sub(STAMP)?)?;
    if time.last() != Some(&b'Z') {
        return None;
    }
    let time = Cow::Borrowed(std::str::from_utf8(time).ok()?);
    let rest = rest.strip_suffix(TIME)?;
    // An unescaped quote cannot be in the text, so what ends like this ends the text.
    let (text, stderr, attrs) = if let Some(text) = rest.strip_suffix(OUT) {
        (text, false, None)
    } else if let Some(text) = rest.strip_suffix(ERR) {
        (text, true, None)
    } else {
        let (text, rest) = rest.split_at(text_end(rest)?);
        let stderr = rest.starts_with(ERR);
        if !stderr && !rest.starts_with(OUT) {
            return None;
        }
        let attrs = rest[OUT.len()..].strip_prefix(ATTRS)?.strip_suffix(b",")?;
        (text, stderr, Some(Cow::Borrowed(attrs)))
    };
    Some(Line {
        text: Cow::Borrowed(text),
        plain: false,
        stderr,
        time,
        attrs,
    })
}

/// Where the first quote is that no backslash escapes.
fn text_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

#[derive(Deserialize)]
struct Foreign<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: Option<serde_json::Map<String, serde_json::Value>>,
}

fn slow(line: &[u8]) -> Option<Line<'_>> {
    let line: Foreign<'_> = serde_json::from_slice(line).ok()?;
    Some(Line {
        text: Cow::Owned(line.log.into_owned().into_bytes()),
        plain: true,
        stderr: line.stream == "stderr",
        time: line.time,
        attrs: line
            .attrs
            .and_then(|a| serde_json::to_vec(&a).ok())
            .map(Cow::Owned),
    })
}

/// Whether the text of a record ends its line.
pub(super) fn ends_line(line: &Line<'_>) -> bool {
    if line.plain {
        return line.text.ends_with(b"\n");
    }
    let Some(before) = line.text.strip_suffix(b"n") else {
        return false;
    };
    // An odd number of backslashes before the `n`.
    let slashes = before.iter().rev().take_while(|b| **b == b'\\').count();
    slashes % 2 == 1
}

/// Appends what the text of a record stands for.
pub(super) fn unescape(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = memchr(b'\\', text) {
        out.extend_from_slice(&text[..at]);
        let (used, character) = match text.get(at + 1) {
            Some(b'n') => (2, '\n'),
            Some(b'r') => (2, '\r'),
            Some(b't') => (2, '\t'),
            Some(b'b') => (2, '\u{8}'),
            Some(b'f') => (2, '\u{c}'),
            Some(b'u') => unicode(&text[at..]),
            Some(&other) => (2, char::from(other)),
            None => (1, '\\'),
        };
        if character.is_ascii() {
            out.push(character as u8);
        } else {
            let mut buffer = [0; 4];
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        text = text.get(at + used..).unwrap_or_default();
    }
    out.extend_from_slice(text);
}

/// `\u0041`, or two of them that make one character.
fn unicode(text: &[u8]) -> (usize, char) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let digits = std::str::from_utf8(digits).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(0).unwrap_or(0xfffd);
    let pair = [first, unit(6).unwrap_or(0)];
    match char::decode_utf16(pair).next() {
        Some(Ok(c)) if c.len_utf16() == 2 => (12, c),
        Some(Ok(c)) => (6, c),
        _ => (6, char::REPLACEMENT_CHARACTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Option<(String, bool, String, Option<String>)> {
        let line = parse(line.as_bytes())?;
        let mut out = Vec::new();
        if line.plain {
            out.extend_from_slice(&line.text);
        } else {
            unescape(&mut out, &line.text);
        }
        let attrs = line.attrs.map(|a| String::from_utf8(a.to_vec()).unwrap());
        Some((
            String::from_utf8(out).unwrap(),
            line.stderr,
            line.time.into_owned(),
            attrs,
        ))
    }

    const AT: &str = "2026-11-21T07:20:00.123456789Z";

    #[test]
    fn quick_and_slow_agree() {
        let texts = [
            r"plain\n",
            r#"\"quoted\\\" \u003ca\u0026\u2028\ufffd\n"#,
            r#"x\",\"stream\":\"stdout\",\"time\":\"y"#,
            "",
            r"\ud83d\ude00 \ud83d x\\n",
        ];
        for t in texts {
            for (stream, attrs) in [("stdout", ""), ("stderr", r#""attrs":{"a":"b\"}"},"#)] {
                let line = format!(r#"{{"log":"{t}","stream":"{stream}",{attrs}"time":"{AT}"}}"#);
                let quick = quick(line.as_bytes()).expect("ours");
                let serde: serde_json::Value = match serde_json::from_str(&line) {
                    Ok(value) => value,
                    // serde refuses half of a pair.
                    Err(_) => continue,
                };
                let (got, stderr, time, got_attrs) = text(&line).unwrap();
                assert_eq!(got, serde["log"].as_str().unwrap(), "{line}");
                assert_eq!(ends_line(&quick), got.ends_with('\n'), "{line}");
                assert_eq!((stderr, time.as_str()), (stream == "stderr", AT));
                assert_eq!(got_attrs.is_some(), !attrs.is_empty());
            }
        }
    }

    #[test]
    fn other_writers_lines_are_read() {
        let line = r#"{"stream":"stderr","log":"a\tb\n","time":"2026-01-01T00:00:00Z"}"#;
        assert_eq!(
            text(line),
            Some(("a\tb\n".into(), true, "2026-01-01T00:00:00Z".into(), None))
        );
        assert_eq!(text("\0\0garbage"), None);
    }
}
