//! Telling a slow sending from one that stands still.

use std::time::Duration;

/// How long nothing may move: registries that put content together at its end, and proxies that take
/// all of it before they hand it on, are silent for minutes.
pub(super) const SILENCE: Duration = Duration::from_secs(300);

/// The outcome of `work`; none once `sent` has stayed the same for `silence`.
pub(super) async fn watched<F: Future>(
    work: F,
    sent: impl Fn() -> u64,
    silence: Duration,
) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    let mut before = sent();
    loop {
        if let Ok(done) = tokio::time::timeout(silence, &mut work).await {
            return Some(done);
        }
        let now = sent();
        if now == before {
            return None;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_moves_is_waited_for_and_what_does_not_is_not() {
        let silence = Duration::from_millis(20);
        let (sent, asked) = (AtomicU64::new(0), AtomicU64::new(0));
        // It moves whenever it is looked at, and ends after some looks.
        let look = || {
            asked.fetch_add(1, Ordering::SeqCst);
            sent.fetch_add(1, Ordering::SeqCst)
        };
        let work = async {
            while asked.load(Ordering::SeqCst) < 5 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            "done"
        };
        assert_eq!(watched(work, look, silence).await, Some("done"));
        let still = watched(std::future::pending::<()>(), || 7, silence);
        assert_eq!(still.await, None);
    }
}
