//! Writing to the standard streams.

use std::io::Write;

use crate::error::{Error, Result};

/// Writes `text` to standard output. A reader that is gone ends the program quietly.
pub(crate) fn print(text: &str) -> Result {
    bytes(text.as_bytes())
}

/// [`print`] of what may be no text.
pub(crate) fn bytes(bytes: &[u8]) -> Result {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|e| Error::stdio(&e))
}

/// [`print`] with a line's end.
pub(crate) fn line(text: &str) -> Result {
    print(&format!("{text}\n"))
}

/// Writes a line to standard error. Nothing can be said if that fails.
pub(crate) fn complain(text: &str) {
    // In one piece: what a container still writes must not come in between.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
