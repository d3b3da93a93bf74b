//! Numbers, times and sizes in the forms that Go reads.

use std::time::Duration;

/// `true`, `1`, `f` and their like.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `1h30m`, `1.5s`, `250ms`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let length = unit
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(unit.len());
        let nanos: u128 = match &unit[..length] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || part.contains('.') {
            return None;
        }
        let whole: u128 = if whole.is_empty() {
            0
        } else {
            whole.parse::<u64>().ok()?.into()
        };
        total = total.checked_add(whole.checked_mul(nanos)?)?;
        let mut scale = nanos;
        for digit in part.bytes() {
            scale /= 10;
            total += u128::from(digit - b'0') * scale;
        }
        rest = &unit[length..];
    }
    // Go counts nanoseconds in 63 bits.
    let total = i64::try_from(total).ok()?;
    Some(Duration::from_nanos(total.unsigned_abs()))
}

/// `64m`, `1.5GiB`: bytes in powers of 1024.
pub(super) fn size(text: &str) -> Option<u64> {
    let bytes = types::size::parse(text).ok()?;
    u64::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, millis) in [
            ("30s", Some(30_000)),
            ("1h2m3s", Some(3_723_000)),
            ("1.5s", Some(1_500)),
            (".5s", Some(500)),
            ("+1m", Some(60_000)),
            ("250ms", Some(250)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("-1s", None),
            ("s", None),
            ("1..5s", None),
            ("1x", None),
            ("99999999999h", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("1k", Some(1024)),
            ("128m", Some(128 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("2 gb", Some(2 << 30)),
            ("1x", None),
            ("", None),
            ("ib", None),
            ("-1", None),
            ("99999999p", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }
}
