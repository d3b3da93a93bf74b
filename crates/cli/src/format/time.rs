//! Points in time, as given and as shown.

use jiff::{Timestamp, tz::TimeZone};

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Seconds since the epoch of an RFC 3339 time.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// As Go prints a time: `2026-11-21 07:08:59 +0000 UTC`, in the local zone.
pub(crate) fn go(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| seconds.to_string(),
        |t| {
            t.to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S %z %Z")
                .to_string()
        },
    )
}

/// As Go prints an RFC 3339 time that it read: in the zone that it came with.
pub(crate) fn go_text(text: &str) -> String {
    let Some((date, time)) = text.split_once('T') else {
        return text.to_owned();
    };
    match (time.strip_suffix('Z'), time.rfind(['+', '-'])) {
        (Some(time), _) => format!("{date} {time} +0000 UTC"),
        (None, Some(at)) => {
            let zone = time[at..].replace(':', "");
            format!("{date} {} {zone} {zone}", &time[..at])
        }
        (None, None) => text.to_owned(),
    }
}

/// RFC 3339, in the local zone: `2026-11-21T07:08:59Z`.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let whole = |t: Timestamp| zoned(t, "%Y-%m-%dT%H:%M:%S");
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), whole)
}

fn zoned(time: Timestamp, form: &str) -> String {
    let zoned = time.to_zoned(TimeZone::system());
    let zone = if zoned.offset().is_zero() {
        "Z".to_owned()
    } else {
        zoned.strftime("%:z").to_string()
    };
    format!("{}{zone}", zoned.strftime(form))
}

/// RFC 3339 with nine digits, in the local zone: `2026-11-21T07:08:59.000000000Z`.
pub(crate) fn nano(nanos: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos))
        .map_or_else(|_| nanos.to_string(), |t| zoned(t, "%Y-%m-%dT%H:%M:%S.%9f"))
}

/// A Go duration (`1h30m`, `2.5s`, `300ms`) in nanoseconds.
pub(crate) fn duration(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at(digits);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            "ns" => 1i128,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        if !whole.is_empty() {
            total = total.checked_add(whole.parse::<i128>().ok()?.checked_mul(unit)?)?;
        }
        if !part.is_empty() && part.len() < 18 {
            let scale = 10i128.checked_pow(u32::try_from(part.len()).ok()?)?;
            total = total.checked_add(
                part.parse::<i128>()
                    .ok()?
                    .checked_mul(unit)?
                    .checked_div(scale)?,
            )?;
        }
        rest = tail;
    }
    Some(sign * total)
}

/// What `--since` and `--until` take, as the API wants it (`seconds.nanoseconds`): seconds since
/// the epoch, a duration back from now, or a date with as much of a time as is given.
pub(crate) fn bound(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    // A lone 0 is the epoch, not no time at all before now.
    if let Some(back) = duration(text).filter(|_| text != "0") {
        let nanos = Timestamp::now().as_nanosecond() - back;
        return Ok(stamp(nanos));
    }
    if let Some(point) = date(text) {
        return Ok(stamp(point.as_nanosecond()));
    }
    let (seconds, nanos) = text.split_once('.').unwrap_or((text, "0"));
    if seconds.parse::<i64>().is_ok() && nanos.parse::<u64>().is_ok() {
        return Ok(text.to_owned());
    }
    Err(format!(
        "failed to parse value as time or duration: {}",
        super::quote(text)
    ))
}

fn stamp(nanos: i128) -> String {
    format!(
        "{}.{:09}",
        nanos.div_euclid(1_000_000_000),
        nanos.rem_euclid(1_000_000_000)
    )
}

fn date(text: &str) -> Option<Timestamp> {
    use jiff::civil::DateTime;
    if text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    if let Ok(point) = text.parse::<Timestamp>() {
        return Some(point);
    }
    if let Some(utc) = text.strip_suffix('Z') {
        return utc
            .parse::<DateTime>()
            .ok()?
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|z| z.timestamp());
    }
    text.parse::<DateTime>()
        .ok()?
        .to_zoned(TimeZone::system())
        .ok()
        .map(|z| z.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_were_read_are_gos() {
        let utc = "2026-01-02 03:04:05.6 +0000 UTC";
        assert_eq!(go_text("2026-01-02T03:04:05.6Z"), utc);
        let east = "2026-01-02 03:04:05 +0200 +0200";
        assert_eq!(go_text("2026-01-02T03:04:05+02:00"), east);
        assert_eq!(go_text("soon"), "soon");
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(duration("2.5s"), Some(2_500_000_000));
        assert_eq!(duration("42"), None);
        assert_eq!(duration("x"), None);
    }

    #[test]
    fn bounds_are_sent_as_the_api_wants_them() {
        assert_eq!(bound("1136073600").unwrap(), "1136073600");
        assert_eq!(
            bound("2006-01-02T15:04:05Z").unwrap(),
            "1136214245.000000000"
        );
        assert_eq!(
            bound("2006-01-02T15:04:05.5+01:00").unwrap(),
            "1136210645.500000000"
        );
        assert!(bound("10m").unwrap().contains('.'));
        assert_eq!(bound("0").unwrap(), "0");
        assert_eq!(
            bound("x").unwrap_err(),
            "failed to parse value as time or duration: \"x\""
        );
    }
}
