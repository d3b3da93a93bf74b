//! How much of something has gone through, on a terminal: one line of standard error, drawn again in
//! place and gone at the end.

use std::{
    io::{IsTerminal, Write},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, ReadBuf};

use crate::format::size;

/// Nobody reads faster.
const EVERY: Duration = Duration::from_millis(100);

/// A line with an amount.
pub(crate) struct Meter {
    what: &'static str,
    on: bool,
    drawn: Option<Instant>,
}

impl Meter {
    /// A line that begins with `what`; none where `quiet`, or where nobody sees it.
    pub(crate) fn new(what: &'static str, quiet: bool) -> Self {
        Self {
            what,
            on: !quiet && std::io::stderr().is_terminal(),
            drawn: None,
        }
    }

    /// Shows that `bytes` have gone.
    pub(crate) fn show(&mut self, bytes: u64) {
        let now = Instant::now();
        let due = self.drawn.is_none_or(|last| now - last >= EVERY);
        if self.on && due {
            self.drawn = Some(now);
            let amount = size::human3(i64::try_from(bytes).unwrap_or(i64::MAX));
            draw(&format!("\r\x1b[2K{}{amount}", self.what));
        }
    }

    /// `source`, counted and shown as it is read.
    pub(crate) fn reader<R>(self, source: R) -> (Metered<R>, Count) {
        let count = Count::default();
        let reader = Metered {
            source,
            count: count.clone(),
            meter: self,
        };
        (reader, count)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            draw("\r\x1b[2K");
        }
    }
}

/// Nothing can be said if this fails.
fn draw(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// How many bytes went through a [`Metered`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Count(Arc<AtomicU64>);

impl Count {
    /// So many.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A reader that shows how much was read.
pub(crate) struct Metered<R> {
    source: R,
    count: Count,
    meter: Meter,
}

impl<R: AsyncRead + Unpin> AsyncRead for Metered<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let read = Pin::new(&mut this.source).poll_read(cx, into);
        let new = into.filled().len() - before;
        if new > 0 {
            let all = this.count.0.fetch_add(new as u64, Ordering::Relaxed) + new as u64;
            this.meter.show(all);
        }
        read
    }
}
