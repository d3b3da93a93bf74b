//! A build's progress, in the forms of `--progress`. All of it goes to standard error: standard
//! output has nothing but what was asked for.

mod ending;
mod live;
mod plain;
mod raw;
mod trace;

use std::io::Write;

pub(crate) use ending::drawing;
use live::{Live, State};
use plain::Plain;
use trace::Trace;
use types::build::{BuildEvent, BuildWarning};

use crate::{error::Error, tty};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line for each thing that happens.
    Plain,
    /// Drawn in place.
    Live,
    /// For programs.
    Raw,
    /// Not at all.
    Quiet,
}

impl Form {
    /// Reads `--progress`; `auto` is live where a terminal is there to draw on.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "" | "auto" if tty::is_terminal(std::io::stderr()) => Ok(Self::Live),
            "" | "auto" | "plain" => Ok(Self::Plain),
            "tty" if tty::is_terminal(std::io::stderr()) => Ok(Self::Live),
            "tty" => Err(Error::msg(
                "ERROR: failed to get console: provided file is not a console",
            )),
            "rawjson" => Ok(Self::Raw),
            "quiet" | "none" => Ok(Self::Quiet),
            other => Err(Error::msg(format!("ERROR: invalid progress mode {other}"))),
        }
    }
}

/// Shows a build as it goes on.
pub(crate) struct Board {
    form: Form,
    trace: Trace,
    plain: Plain,
    live: Live,
    changed: bool,
    ended: bool,
}

impl Board {
    pub(crate) fn new(form: Form) -> Self {
        let mut board = Self {
            form,
            trace: Trace::default(),
            plain: Plain::default(),
            live: Live::new(std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())),
            changed: false,
            ended: false,
        };
        if form == Form::Plain {
            board.put("#0 building with \"default\" instance using wharf driver\n\n");
        }
        board
    }

    /// What was found in the Dockerfile that is no error.
    pub(crate) fn warnings(&self) -> &[BuildWarning] {
        &self.trace.warnings
    }

    /// Shows an event.
    pub(crate) fn event(&mut self, event: &BuildEvent) {
        self.changed = true;
        let changes = self.trace.take(event);
        match self.form {
            Form::Plain => {
                let mut text = String::new();
                for change in changes {
                    text.push_str(&self.plain.change(&self.trace, change));
                }
                self.put(&text);
            }
            Form::Raw => {
                if let Some(line) = raw::line(event) {
                    self.put(&line);
                }
            }
            Form::Live | Form::Quiet => {}
        }
    }

    /// Shows that time has passed.
    pub(crate) fn tick(&mut self) {
        match self.form {
            Form::Plain => {
                let text = self.plain.advance(&self.trace);
                self.put(&text);
            }
            Form::Live if self.changed || !self.trace.steps.is_empty() => {
                self.changed = false;
                self.frame(State::Running);
            }
            Form::Live | Form::Raw | Form::Quiet => {}
        }
    }

    /// Shows how it ended. `quiet` leaves out what was found in the Dockerfile, which is told
    /// elsewhere.
    pub(crate) fn end(&mut self, well: bool, quiet: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let failures = ending::failures(&self.trace);
        match self.form {
            Form::Live => {
                self.frame(if well { State::Finished } else { State::Failed });
                self.put(&failures);
            }
            Form::Plain => {
                let text = self.plain.advance(&self.trace);
                self.put(&text);
                self.put(&failures);
                let summary = ending::summary(&self.trace);
                if well && !summary.is_empty() {
                    self.put(&format!("\n{summary}\n"));
                }
            }
            Form::Quiet => self.put(&failures),
            Form::Raw => {}
        }
        if well && !quiet && matches!(self.form, Form::Live | Form::Plain) {
            let text = ending::warnings(&self.trace.warnings);
            self.put(&text);
        }
    }

    fn frame(&mut self, state: State) {
        let size = tty::size_of(std::io::stderr()).unwrap_or((24, 80));
        let text = self.live.draw(&self.trace, state, size);
        self.put(&text);
    }

    /// Nothing can be said if this fails.
    #[expect(clippy::unused_self, reason = "what is shown is shown by the board")]
    fn put(&mut self, text: &str) {
        if !text.is_empty() {
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}
