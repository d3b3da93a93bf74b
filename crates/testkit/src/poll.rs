//! Waiting on conditions. Nothing in the tests sleeps for a fixed time and hopes.

use std::time::{Duration, Instant};

/// How long a test waits for what should happen soon, on a loaded machine of two cores.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `cond` again and again until it yields a value; panics with `what` after `deadline`.
pub fn poll<T>(deadline: Duration, what: &str, mut cond: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(value) = cond() {
            return value;
        }
        assert!(
            start.elapsed() < deadline,
            "waited {deadline:?} in vain for: {what}"
        );
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(25));
    }
}

/// [`poll`] for a plain condition with the usual patience.
pub fn eventually(what: &str, mut cond: impl FnMut() -> bool) {
    poll(PATIENCE, what, || cond().then_some(()));
}
