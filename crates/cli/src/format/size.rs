//! Amounts of bytes.

/// `64m`, `1.5g`, `10kb`, `1GiB`: binary multiples, as docker's memory flags read them.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let broken = || format!("invalid size: '{text}'");
    let end = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.')
        .map_or(0, |at| at + 1);
    if end == 0 {
        return Err(broken());
    }
    let (number, suffix) = text.split_at(end);
    let number = number.trim_end();
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_lowercase();
    if number.starts_with('+')
        || !number
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b'.' || b == b'-')
    {
        return Err(broken());
    }
    let value: f64 = number.parse().map_err(|_| broken())?;
    if value < 0.0 {
        return Err(broken());
    }
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None | Some('b') => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return Err(format!("invalid suffix: '{suffix}'")),
    };
    let rest = letters.as_str();
    let allowed = if power == 0 {
        rest.is_empty()
    } else {
        matches!(rest, "" | "b" | "ib")
    };
    if !allowed {
        return Err(format!("invalid suffix: '{suffix}'"));
    }
    let bytes = value * 1024f64.powi(power);
    if bytes >= 9.223_372_036_854_775e18 {
        return Err(broken());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    Ok(bytes as i64)
}

/// `digits` significant digits, without an exponent, as Go's `%.4g` for the sizes that occur.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent: i32 = scientific
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    let decimals = usize::try_from(i32::try_from(digits).unwrap_or(4) - 1 - exponent).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn scaled(bytes: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut value = bytes;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

const DECIMAL: &[&str] = &["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const BINARY: &[&str] = &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Decimal units, four digits: `1.982MB`.
#[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
pub(crate) fn human(bytes: i64) -> String {
    scaled(bytes as f64, 1000.0, DECIMAL, 4)
}

/// Decimal units, three digits: `1.98MB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn human3(bytes: i64) -> String {
    scaled(bytes as f64, 1000.0, DECIMAL, 3)
}

/// Binary units, four digits: `23.54GiB`.
#[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
pub(crate) fn binary(bytes: i64) -> String {
    scaled(bytes as f64, 1024.0, BINARY, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("64m", 64 << 20),
            ("1.5g", 3 << 29),
            ("10", 10),
            ("10b", 10),
            ("1kB", 1024),
            ("1 KiB", 1024),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse("zz").unwrap_err(), "invalid size: 'zz'");
        assert_eq!(parse("1z").unwrap_err(), "invalid suffix: 'z'");
        assert!(parse("").is_err() && parse("-1").is_err() && parse("1bb").is_err());
    }

    #[test]
    fn sizes_are_shown() {
        assert_eq!(human3(1_982_000), "1.98MB");
        assert_eq!(human(1_982_345), "1.982MB");
        assert_eq!(human(0), "0B");
        assert_eq!(human3(123_456_789), "123MB");
        assert_eq!(binary(25_276_502_016), "23.54GiB");
    }
}
