//! Number constants. Go's constants have no type until they are used, so a constant keeps every
//! kind of number it can be.

use crate::quote::{INVALID_SYNTAX, quote, unquote_char};

/// A number or character constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number {
    /// The constant as written.
    pub(crate) text: String,
    /// Its value if it is a signed integer (2.0 is one).
    pub(crate) int: Option<i64>,
    /// Whether it fits an unsigned integer only.
    pub(crate) only_uint: bool,
    /// Its value if it is written as a floating-point number.
    pub(crate) float: Option<f64>,
}

impl Number {
    /// Reads `'x'`.
    pub(crate) fn character(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('\'').ok_or(INVALID_SYNTAX)?;
        let (piece, tail) = unquote_char(inner, '\'')?;
        if tail != "'" {
            return Err(format!("malformed character constant: {text}"));
        }
        Ok(Self {
            text: text.to_owned(),
            int: Some(i64::from(piece.code())),
            only_uint: false,
            float: None,
        })
    }

    /// Reads an integer or floating-point constant in any of Go's notations.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.ends_with('i') {
            return Err(complex(text));
        }
        let mut number = Self {
            text: text.to_owned(),
            int: None,
            only_uint: false,
            float: None,
        };
        if let Some((negative, magnitude)) = integer(text) {
            number.int = signed(negative, magnitude);
            number.only_uint = number.int.is_none() && !negative && !text.starts_with('+');
            if number.int.is_some() || number.only_uint {
                return Ok(number);
            }
        }
        let Some(value) = float(text) else {
            return Err(format!(
                "illegal number syntax: {}",
                quote(text.as_bytes(), false)
            ));
        };
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!(
                "integer overflow: {}",
                quote(text.as_bytes(), false)
            ));
        }
        // 2^63 itself is not an i64, and the cast would saturate to a value that compares equal.
        if value.trunc() == value
            && (-9.223_372_036_854_776e18..9.223_372_036_854_775e18).contains(&value)
        {
            number.int = Some(value as i64);
        }
        number.float = Some(value);
        Ok(number)
    }
}

/// The refusal of complex constants, which no output of a container engine has a use for.
pub(crate) fn complex(text: &str) -> String {
    format!(
        "complex constants are not supported: {}",
        quote(text.as_bytes(), false)
    )
}

fn signed(negative: bool, magnitude: u64) -> Option<i64> {
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn integer(text: &str) -> Option<(bool, u64)> {
    let (negative, body) = split_sign(text);
    let digits = without_underscores(body)?;
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    Some((negative, u64::from_str_radix(digits, radix).ok()?))
}

/// Underscores may stand between digits and after a base prefix, nowhere else.
fn without_underscores(body: &str) -> Option<String> {
    if !body.contains('_') {
        return Some(body.to_owned());
    }
    let bytes = body.as_bytes();
    let prefixed = bytes.len() > 1 && bytes[0] == b'0' && b"xXoObB".contains(&bytes[1]);
    let digit = |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_hexdigit());
    let fine = (0..bytes.len())
        .filter(|&at| bytes[at] == b'_')
        .all(|at| at > 0 && digit(at + 1) && (digit(at - 1) || (prefixed && at == 2)));
    fine.then(|| body.replace('_', ""))
}

fn float(text: &str) -> Option<f64> {
    let (negative, body) = split_sign(text);
    let body = without_underscores(body)?;
    let magnitude = if let Some(hex) = body.strip_prefix("0x").or(body.strip_prefix("0X")) {
        hex_float(hex)?
    } else {
        // Rust also reads "inf" and "nan", which the lexer never takes for numbers.
        body.parse::<f64>().ok().filter(|value| value.is_finite())?
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `1.8p3`: hexadecimal mantissa, binary exponent. Up to 52 bits are kept, as constants that
/// need more do not occur.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 13 {
        return None;
    }
    let value = u64::from_str_radix(&digits, 16).ok()? as f64;
    let scale = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    Some(value * 2f64.powi(scale)).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations() {
        let int = |text| Number::parse(text).unwrap().int;
        assert_eq!(int("0x1F"), Some(31));
        assert_eq!(int("017"), Some(15));
        assert_eq!(int("0b1_01"), Some(5));
        assert_eq!(int("1_000"), Some(1000));
        assert_eq!(int("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(Number::parse("0x1.8p1").unwrap().float, Some(3.0));
        assert!(Number::parse("18446744073709551615").unwrap().only_uint);
        for bad in ["1__0", "_1", "089", "0x", ".", "1e", "--1", "0x1p"] {
            assert!(Number::parse(bad).is_err(), "{bad}");
        }
    }
}
