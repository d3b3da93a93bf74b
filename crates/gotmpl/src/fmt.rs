//! Prints values as Go's package fmt does: the verbs and flags, one value at a time.

use crate::float::format_float;
use crate::quote::{can_backquote, quote, quote_char};
use crate::runes::{code_point, is_print, prefix, runes};
use crate::value::{List, Map, Val, Value};

/// The flags of one verb.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// At least so many characters.
    pub(crate) width: Option<usize>,
    /// At most so many characters, or so many digits.
    pub(crate) precision: Option<usize>,
    pub(crate) minus: bool,
    pub(crate) plus: bool,
    pub(crate) sharp: bool,
    pub(crate) space: bool,
    pub(crate) zero: bool,
    /// `%#v`: as Go would write the value in a program.
    pub(crate) syntax: bool,
}

/// Collects what is printed.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    /// What is printed so far.
    pub(crate) out: Vec<u8>,
    /// The flags of the verb at hand.
    pub(crate) flags: Flags,
}

/// `value` as `%v` prints it.
pub(crate) fn print(value: &Value<'_>) -> Vec<u8> {
    let mut printer = Printer::default();
    printer.arg(value, 'v');
    printer.out
}

/// `value` inside another message, by `verb`.
pub(crate) fn in_message(value: &Value<'_>, verb: char) -> String {
    let mut printer = Printer::default();
    match value.val {
        Val::Invalid => printer.out.extend_from_slice(b"<invalid reflect.Value>"),
        Val::Nil => printer.out.extend_from_slice(b"<nil>"),
        _ => printer.value(&value.val, verb),
    }
    String::from_utf8_lossy(&printer.out).into_owned()
}

/// All `values` as Go's `Sprint` prints them: with a space between two that are not strings.
pub(crate) fn sprint(values: &[Value<'_>]) -> Vec<u8> {
    let mut printer = Printer::default();
    let mut after_string = true;
    for value in values {
        let string = matches!(value.val, Val::Str(_));
        if !string && !after_string {
            printer.out.push(b' ');
        }
        printer.arg(value, 'v');
        // The first value has no space before it; afterwards only the kinds count.
        after_string = string;
    }
    printer.out
}

impl Printer {
    /// Prints an argument of a print function.
    pub(crate) fn arg(&mut self, value: &Value<'_>, verb: char) {
        match (&value.val, verb) {
            (Val::Invalid | Val::Nil, 'v' | 'T') => self.pad("<nil>".as_bytes()),
            (Val::Invalid | Val::Nil, _) => self.bad_verb(None, verb),
            (val, 'T') => self.string(val.type_name().as_bytes()),
            // Addresses and wrapped errors mean nothing here.
            (val, 'p' | 'w') => self.bad_verb(Some(val), verb),
            (val, _) => self.value(val, verb),
        }
    }

    fn element(&mut self, value: &Value<'_>, verb: char) {
        match &value.val {
            Val::Nil if self.flags.syntax => self.out.extend_from_slice(b"interface {}(nil)"),
            Val::Invalid | Val::Nil => self.out.extend_from_slice(b"<nil>"),
            val => self.value(val, verb),
        }
    }

    fn value(&mut self, val: &Val<'_>, verb: char) {
        match (val, verb) {
            (Val::Bool(value), 't' | 'v') => self.pad(value.to_string().as_bytes()),
            (Val::Int(int), _) => self.integer(val, *int < 0, int.unsigned_abs(), verb),
            (Val::Uint(uint), _) => self.integer(val, false, *uint, verb),
            (Val::Byte(byte), _) => self.integer(val, false, u64::from(*byte), verb),
            (Val::Float(float), _) => self.float(val, *float, verb),
            (Val::Str(text), 'v') if self.flags.syntax => self.quoted(text),
            (Val::Str(text), 'v' | 's') => self.string(text),
            (Val::Str(text), 'x' | 'X') => self.hex_string(text, verb == 'X'),
            (Val::Str(text), 'q') => self.quoted(text),
            (Val::List(list), _) => self.list(list, verb),
            (Val::Map(map), _) => self.map(*map, verb),
            _ => self.bad_verb(Some(val), verb),
        }
    }

    fn list(&mut self, list: &List<'_>, verb: char) {
        let syntax = self.flags.syntax;
        if syntax {
            self.out.extend_from_slice(list.type_name().as_bytes());
            if let List::Nil = list {
                self.out.extend_from_slice(b"(nil)");
                return;
            }
        }
        self.out.push(if syntax { b'{' } else { b'[' });
        for (i, value) in list.iter().enumerate() {
            self.separate(i);
            self.element(&value, verb);
        }
        self.out.push(if syntax { b'}' } else { b']' });
    }

    fn map(&mut self, map: Map<'_>, verb: char) {
        let syntax = self.flags.syntax;
        if syntax {
            self.out.extend_from_slice(map.type_name().as_bytes());
            if map.json().is_none() {
                self.out.extend_from_slice(b"(nil)");
                return;
            }
        }
        self.out
            .extend_from_slice(if syntax { b"{" } else { b"map[" });
        for (i, (key, value)) in map.sorted().into_iter().enumerate() {
            self.separate(i);
            self.value(&Val::Str(key.as_bytes().into()), verb);
            self.out.push(b':');
            self.element(&value, verb);
        }
        self.out.push(if syntax { b'}' } else { b']' });
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            let text: &[u8] = if self.flags.syntax { b", " } else { b" " };
            self.out.extend_from_slice(text);
        }
    }

    /// `%!d(string=x)`: the verb does not fit the value.
    fn bad_verb(&mut self, val: Option<&Val<'_>>, verb: char) {
        self.out.extend_from_slice(format!("%!{verb}(").as_bytes());
        match val {
            None => self.out.extend_from_slice(b"<nil>"),
            Some(val) => {
                self.out.extend_from_slice(val.type_name().as_bytes());
                self.out.push(b'=');
                self.value(val, 'v');
            }
        }
        self.out.push(b')');
    }

    fn fill(&mut self, count: usize, zero: bool) {
        let byte = if zero { b'0' } else { b' ' };
        self.out.resize(self.out.len() + count, byte);
    }

    /// Writes `text`, filled up to the width.
    fn pad(&mut self, text: &[u8]) {
        self.pad_with(text, self.flags.zero);
    }

    fn pad_with(&mut self, text: &[u8], zero: bool) {
        let width = self.flags.width.unwrap_or(0);
        let missing = width.saturating_sub(runes(text).count());
        if self.flags.minus {
            self.out.extend_from_slice(text);
            self.fill(missing, zero);
        } else {
            self.fill(missing, zero);
            self.out.extend_from_slice(text);
        }
    }

    fn cut<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        match self.flags.precision {
            Some(count) => prefix(text, count),
            None => text,
        }
    }

    fn string(&mut self, text: &[u8]) {
        self.pad(self.cut(text));
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = self.cut(text);
        if self.flags.sharp && can_backquote(text) {
            self.pad(&[b"`", text, b"`"].concat());
        } else {
            self.pad(quote(text, self.flags.plus).as_bytes());
        }
    }

    fn hex_string(&mut self, text: &[u8], upper: bool) {
        let count = self.flags.precision.unwrap_or(text.len()).min(text.len());
        let mut out = String::new();
        for (i, byte) in text[..count].iter().enumerate() {
            if self.flags.space && i > 0 {
                out.push(' ');
            }
            if self.flags.sharp && (i == 0 || self.flags.space) {
                out.push_str("0x");
            }
            out.push_str(&format!("{byte:02x}"));
        }
        self.pad(if upper { out.to_uppercase() } else { out }.as_bytes());
    }

    fn integer(&mut self, val: &Val<'_>, negative: bool, magnitude: u64, verb: char) {
        let character = u32::try_from(magnitude)
            .ok()
            .filter(|_| !negative)
            .and_then(char::from_u32);
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        let digits = match verb {
            'v' if self.flags.syntax && !matches!(val, Val::Int(_)) => {
                let flags = self.flags.clone();
                self.flags.sharp = true;
                self.digits(false, format!("{magnitude:x}"), verb, "0x");
                self.flags = flags;
                return;
            }
            'v' | 'd' => format!("{magnitude}"),
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            'c' => return self.pad(character.to_string().as_bytes()),
            'q' => return self.pad(quote_char(character, self.flags.plus).as_bytes()),
            'U' => return self.unicode(negative, magnitude),
            _ => return self.bad_verb(Some(val), verb),
        };
        let prefix = match verb {
            'b' => "0b",
            'o' | 'O' if !digits.starts_with('0') => "0",
            'x' => "0x",
            'X' => "0X",
            _ => "",
        };
        self.digits(negative, digits, verb, prefix);
    }

    /// An integer with all that may stand before its digits.
    fn digits(&mut self, negative: bool, digits: String, verb: char, prefix: &str) {
        let signed = negative || self.flags.plus || self.flags.space;
        let least = match (self.flags.precision, self.flags.width) {
            (Some(0), width) if digits == "0" => {
                // No digits at all for zero, only the width.
                return self.fill(width.unwrap_or(0), false);
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if self.flags.zero => width.saturating_sub(usize::from(signed)),
            _ => 0,
        };
        let mut out = String::new();
        if negative {
            out.push('-');
        } else if self.flags.plus {
            out.push('+');
        } else if self.flags.space {
            out.push(' ');
        }
        if verb == 'O' {
            out.push_str("0o");
        }
        let missing = least.saturating_sub(digits.len());
        // The zero that marks octal may be one of those that fill up.
        if self.flags.sharp && !(prefix == "0" && missing > 0) {
            out.push_str(prefix);
        }
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(&digits);
        self.pad_with(out.as_bytes(), false);
    }

    fn unicode(&mut self, negative: bool, magnitude: u64) {
        let code = if negative {
            magnitude.wrapping_neg()
        } else {
            magnitude
        };
        // The standard library's own widths end at 65535.
        let digits = format!("{code:X}");
        let least = self.flags.precision.unwrap_or(4).max(4);
        let zeros = "0".repeat(least.saturating_sub(digits.len()));
        let mut out = format!("U+{zeros}{digits}");
        if let Some(ch) = u32::try_from(code).ok().and_then(char::from_u32)
            && self.flags.sharp
            && is_print(ch)
        {
            out.push_str(code_point(ch).trim_start_matches(|ch| ch != ' '));
        }
        self.pad_with(out.as_bytes(), false);
    }

    fn float(&mut self, val: &Val<'_>, value: f64, verb: char) {
        let (verb, default) = match verb {
            'v' => (b'g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb as u8, None),
            'f' | 'F' => (b'f', Some(6)),
            'e' | 'E' => (verb as u8, Some(6)),
            _ => return self.bad_verb(Some(val), verb),
        };
        let precision = self.flags.precision.or(default);
        let text = format_float(value, verb, precision);
        let negative = text.starts_with('-');
        let mut body = text.trim_start_matches('-').to_owned();
        let sign = match () {
            () if negative => "-",
            () if self.flags.plus => "+",
            () if self.flags.space => " ",
            () => "",
        };
        if self.flags.sharp && verb != b'b' {
            body = with_point(&body, verb, precision);
        }
        let width = self.flags.width.unwrap_or(0);
        if self.flags.zero && !sign.is_empty() && width > sign.len() + body.len() {
            self.out.extend_from_slice(sign.as_bytes());
            self.fill(width - sign.len() - body.len(), true);
            self.out.extend_from_slice(body.as_bytes());
        } else {
            self.pad(format!("{sign}{body}").as_bytes());
        }
    }
}

/// The `#` flag: always a decimal point, and the zeros `%g` leaves away.
fn with_point(body: &str, verb: u8, precision: Option<usize>) -> String {
    let exponent: &[char] = match verb {
        b'x' | b'X' => &['p', 'P'],
        _ => &['e', 'E'],
    };
    let end = body.find(exponent).unwrap_or(body.len());
    let (number, tail) = body.split_at(end);
    let mut out = number.to_owned();
    if !number.contains('.') {
        out.push('.');
    }
    if let b'g' | b'G' | b'x' = verb {
        let significant = number.trim_start_matches(['0', '.']).bytes();
        let mut count = significant.filter(u8::is_ascii_alphanumeric).count();
        if number == "0" {
            count = 1;
        }
        let wanted = precision.unwrap_or(6);
        out.extend(std::iter::repeat_n('0', wanted.saturating_sub(count)));
    }
    out + tail
}
