//! The terminal's mode and size.

use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Whether `stream` is a terminal.
pub(crate) fn is_terminal(stream: impl AsFd) -> bool {
    rustix::termios::isatty(stream)
}

/// The terminal behind standard output or input: rows and columns.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(std::io::stdout())
        .or_else(|_| tcgetwinsize(std::io::stdin()))
        .ok()?;
    (size.ws_row > 0 || size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// The same of the terminal behind `stream`.
pub(crate) fn size_of(stream: impl AsFd) -> Option<(u16, u16)> {
    let size = tcgetwinsize(stream).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// A terminal that passes everything through, as long as this lives; also a panic that unwinds
/// puts the old mode back.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Puts standard input's terminal into raw mode; `None` when it is none.
    pub(crate) fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone; there is nobody to tell.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// A terminal that does not show what is typed, as long as this lives.
pub(crate) struct Hidden {
    before: Termios,
}

impl Hidden {
    /// Hides what is typed at standard input's terminal; `None` when it is none.
    pub(crate) fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &hidden).ok()?;
        Some(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // As above.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
