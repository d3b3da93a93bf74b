//! Points in time as clients write them: `seconds[.fraction]`, RFC 3339, the same without a zone
//! or a time of day, which is local then, or a Go duration counted back from now.

const SECOND: i64 = 1_000_000_000;

/// Nanoseconds since the epoch.
pub fn parse(text: &str) -> Option<i64> {
    seconds(text)
        .or_else(|| nanos(text.parse().ok()?))
        .or_else(|| {
            let local: jiff::civil::DateTime = text.parse().ok()?;
            let zoned = local.to_zoned(jiff::tz::TimeZone::system()).ok()?;
            nanos(zoned.timestamp())
        })
        .or_else(|| nanos(jiff::Timestamp::now())?.checked_sub(duration(text)?))
}

/// This moment, nanoseconds since the epoch.
pub(crate) fn now() -> i64 {
    nanos(jiff::Timestamp::now()).unwrap_or(i64::MAX)
}

fn nanos(time: jiff::Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond()).ok()
}

/// `12`, `-12`, `12.000000034`.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let negative = whole.starts_with('-');
    let whole: i64 = whole.parse().ok()?;
    let nanos = fraction_nanos(fraction)?;
    let nanos = if negative { -nanos } else { nanos };
    whole.checked_mul(SECOND)?.checked_add(nanos)
}

/// Digits after a point as nanoseconds; those after the ninth do not count.
fn fraction_nanos(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
}

/// A Go duration, `1h30m`, `-1.5s`, `10ms`, in nanoseconds.
fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest.get(..end)?.parse().ok()?;
        rest = rest.get(end..)?;
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match rest.get(..end)? {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        rest = rest.get(end..)?;
        total += amount * unit;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    let total = (total < 9e18).then_some(total as i64)?;
    Some(if negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_understood() {
        assert_eq!(parse("12"), Some(12 * SECOND));
        assert_eq!(parse("12.5"), Some(12_500_000_000));
        assert_eq!(parse("1.000000001999"), Some(1_000_000_001));
        assert_eq!(parse("-1.5"), Some(-1_500_000_000));
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Some(1_500_000_000));
        assert_eq!(parse("1970-01-01T01:00:01+01:00"), Some(SECOND));
        assert_eq!(duration("1h30m0.5s"), Some(5_400_500_000_000));
        assert_eq!(duration("-10ms"), Some(-10_000_000));
        assert!(parse("10m").is_some());
        let local = |text: &str| {
            let time: jiff::civil::DateTime = text.parse().unwrap();
            let zoned = time.to_zoned(jiff::tz::TimeZone::system()).unwrap();
            Some(i64::try_from(zoned.timestamp().as_nanosecond()).unwrap())
        };
        for (text, whole) in [
            ("2024-01-01", "2024-01-01T00:00:00"),
            ("2024-01-01T05:06", "2024-01-01T05:06:00"),
            ("2024-01-01T05:06:07.5", "2024-01-01T05:06:07.5"),
        ] {
            assert_eq!(parse(text), local(whole), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_and_never_panics() {
        for text in [
            "",
            ".",
            "1.",
            "x",
            "1.x",
            "1.-5",
            "h",
            "1",
            "-",
            "1h2",
            "99999999999999999999",
            "9223372036854775807",
            "9999999999h",
            "1.5.5s",
            "½s",
            "1µ",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(parse("9223372036854775807"), None);
        assert_eq!(parse("-9223372036854775807.9"), None);
    }
}
