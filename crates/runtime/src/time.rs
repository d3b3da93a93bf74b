//! Points in time as Docker writes them, without a library of calendars.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Length of what [`rfc3339`] writes.
pub const LEN: usize = "2026-11-21T07:20:00.123456789Z".len();

/// RFC 3339 in UTC, always with nine digits of fraction.
pub fn rfc3339(since_epoch: Duration) -> [u8; LEN] {
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    put(&mut text[0..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], of_day / 3600);
    put(&mut text[14..16], of_day / 60 % 60);
    put(&mut text[17..19], of_day % 60);
    put(&mut text[20..29], u64::from(since_epoch.subsec_nanos()));
    text
}

/// Now, as [`rfc3339`].
pub fn now() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    String::from_utf8_lossy(&rfc3339(now)).into_owned()
}

/// Only the fraction of `text`, which [`rfc3339`] wrote for another moment of the same second.
pub fn set_nanos(text: &mut [u8; LEN], nanos: u32) {
    put(&mut text[20..29], u64::from(nanos));
}

fn put(text: &mut [u8], mut value: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01. Years begin in March here, so that the
/// leap day comes last; 400 years have 146 097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01.
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: u64, nanos: u32) -> String {
        String::from_utf8(rfc3339(Duration::new(seconds, nanos)).to_vec()).unwrap()
    }

    #[test]
    fn known_moments() {
        assert_eq!(text(0, 0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(text(951_782_399, 1), "2000-02-28T23:59:59.000000001Z");
        assert_eq!(
            text(951_868_799, 999_999_999),
            "2000-02-29T23:59:59.999999999Z"
        );
        assert_eq!(
            text(1_700_000_000, 123_456_789),
            "2023-11-14T22:13:20.123456789Z"
        );
        assert_eq!(text(4_107_542_400, 0), "2100-03-01T00:00:00.000000000Z");
    }

    #[test]
    fn nanos_alone() {
        let mut t = rfc3339(Duration::new(1_700_000_000, 5));
        set_nanos(&mut t, 77);
        assert_eq!(t, rfc3339(Duration::new(1_700_000_000, 77)));
    }
}
