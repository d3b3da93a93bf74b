//! Times as Docker prints them.

use jiff::Timestamp;

/// Now, RFC 3339 with nanoseconds.
pub(crate) fn now() -> String {
    Timestamp::now().to_string()
}

/// When a file was last written; now, where nobody knows.
pub(crate) fn written(path: &std::path::Path) -> String {
    let time = std::fs::metadata(path).and_then(|meta| meta.modified());
    let time = time.ok().and_then(|time| Timestamp::try_from(time).ok());
    time.unwrap_or_else(Timestamp::now).to_string()
}

/// Nanoseconds since the epoch, as far as they fit (until 2262).
pub(crate) fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

/// Seconds since the epoch of an RFC 3339 time; 0 where it is none.
pub(crate) fn unix(text: &str) -> i64 {
    text.parse::<Timestamp>().map_or(0, Timestamp::as_second)
}

/// The time between `text` (RFC 3339) and `now` in Docker's words.
pub(crate) fn since(text: &str, now: Timestamp) -> String {
    let then = text.parse::<Timestamp>().unwrap_or(now);
    words((now.as_second() - then.as_second()).max(0))
}

fn words(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_docker_words() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (2 * 3600, "2 hours"),
            (3 * 86400, "3 days"),
            (20 * 86400, "2 weeks"),
            (90 * 86400, "3 months"),
            (800 * 86400, "2 years"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(words(seconds), expected);
        }
    }
}
