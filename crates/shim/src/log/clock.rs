//! The time of each record.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runtime::time::{LEN, rfc3339, set_nanos};

/// Tells the time as text, working out year to second only once a second.
#[derive(Default)]
pub(super) struct Clock {
    second: Option<u64>,
    text: [u8; LEN],
}

/// A moment.
#[derive(Clone, Copy)]
pub(super) struct Time<'a> {
    pub(super) text: &'a [u8; LEN],
    pub(super) nanos: u64,
}

impl Clock {
    pub(super) fn now(&mut self) -> Time<'_> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        if self.second == Some(now.as_secs()) {
            set_nanos(&mut self.text, now.subsec_nanos());
        } else {
            self.second = Some(now.as_secs());
            self.text = rfc3339(now);
        }
        Time {
            text: &self.text,
            nanos: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}
