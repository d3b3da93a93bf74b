//! Amounts of bytes as people write them, by Docker's rules and in its words.

/// `64m`, `1.5g`, `10kb`, `1GiB`: multiples of 1024.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<i64, String> {
    read(text, 1024)
}

/// The same in multiples of 1000.
///
/// # Errors
/// As [`parse`].
pub fn parse_decimal(text: &str) -> Result<i64, String> {
    read(text, 1000)
}

fn read(text: &str, base: i64) -> Result<i64, String> {
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
    // Whole numbers to the last byte.
    if let Ok(whole) = number.parse::<i64>() {
        let bytes = whole.checked_mul(base.pow(power));
        return bytes.filter(|bytes| *bytes >= 0).ok_or_else(broken);
    }
    let value: f64 = number.parse().map_err(|_| broken())?;
    if value < 0.0 {
        return Err(broken());
    }
    #[expect(clippy::cast_precision_loss, reason = "a power of 1000 or 1024")]
    let bytes = value * base.pow(power) as f64;
    if bytes >= 9.223_372_036_854_775e18 {
        return Err(broken());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    Ok(bytes as i64)
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
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse("zz").unwrap_err(), "invalid size: 'zz'");
        assert_eq!(parse("1z").unwrap_err(), "invalid suffix: 'z'");
        for bad in [
            "",
            "-1",
            "1bb",
            "9223372036854775808",
            "99999999p",
            "ib",
            "+1",
            "1.2.3",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_decimal("1.5kb"), Ok(1500));
    }
}
