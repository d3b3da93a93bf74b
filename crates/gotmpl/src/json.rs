//! JSON as Go's encoding/json writes it with HTML escaping off.
//!
//! serde_json differs in small things that show in output people compare: the form of floats,
//! and the escapes of the two Unicode line separators. Objects keep the order they have, which
//! is the order of fields for what docker holds in structs.

use crate::float::format_float;
use crate::runes::runes;
use crate::value::{List, Map, Val, Value};

/// `value` as JSON.
pub(crate) fn encode(value: &Value<'_>) -> String {
    let mut out = String::new();
    write(&mut out, &value.val);
    out
}

fn write(out: &mut String, val: &Val<'_>) {
    match val {
        Val::Invalid | Val::Nil | Val::List(List::Nil) | Val::Map(Map::Strings(None)) => {
            out.push_str("null");
        }
        Val::Bool(value) => out.push_str(&value.to_string()),
        Val::Int(int) => out.push_str(&int.to_string()),
        Val::Uint(uint) => out.push_str(&uint.to_string()),
        Val::Byte(byte) => out.push_str(&byte.to_string()),
        Val::Float(float) => out.push_str(&number(*float)),
        Val::Str(text) => string(out, text),
        Val::List(list) => {
            out.push('[');
            for (i, value) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(out, &value.val);
            }
            out.push(']');
        }
        Val::Map(map) => {
            out.push('{');
            for (i, (key, value)) in map.json().into_iter().flatten().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                string(out, key.as_bytes());
                out.push(':');
                write(out, &Value::boxed(value).val);
            }
            out.push('}');
        }
    }
}

/// Plain notation except for very small and very large numbers, as in JavaScript.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return format_float(value, b'f', None);
    }
    // One digit is enough for the exponents of this notation: 1e-7, not 1e-07.
    format_float(value, b'e', None).replace("e-0", "e-")
}

fn string(out: &mut String, text: &[u8]) {
    out.push('"');
    for rune in runes(text) {
        let code = u32::from(rune.ch);
        match rune.ch {
            '"' | '\\' => out.extend(['\\', rune.ch]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{code:04x}")),
            _ if !rune.valid => out.push_str("\\ufffd"),
            ch => out.push(ch),
        }
    }
    out.push('"');
}
