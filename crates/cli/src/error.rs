//! How a verb ends other than well.

use std::io;

use crate::client;

/// What [`crate::main`] prints, and the exit code that follows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line is wrong; docker's text with usage is complete in `text`.
    #[error("{text}")]
    Usage {
        /// Everything that is shown.
        text: String,
        /// The exit code.
        code: u8,
    },
    /// Something failed; shown as it is.
    #[error("{0}")]
    Message(String),
    /// A failure of `run` or `create`: shown with the program's name and a hint.
    #[error("{text}")]
    Run {
        /// What failed.
        text: String,
        /// 125, 126 or 127.
        code: u8,
    },
    /// Nothing to show; everything was said.
    #[error("exit code {0}")]
    Status(u8),
    /// The daemon refused, or could not be reached.
    #[error(transparent)]
    Client(#[from] client::Error),
}

impl Error {
    /// A failure that says `text`, with exit code 1.
    pub(crate) fn msg(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    /// What went wrong with some of several things, a line for each; fine where nothing did.
    pub(crate) fn lines(failures: &[String]) -> Result {
        match failures {
            [] => Ok(()),
            failures => Err(Self::msg(failures.join("\n"))),
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage { code, .. } | Self::Run { code, .. } | Self::Status(code) => *code,
            Self::Message(_) | Self::Client(_) => 1,
        }
    }

    /// A failed read or write of the CLI's own standard streams. A reader that went away ends
    /// the program as SIGPIPE would: quietly.
    pub(crate) fn stdio(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Status(141)
        } else {
            Self::Message(format!("standard streams: {error}"))
        }
    }

    /// A failed operation on the file `path`, in the words of Go's `os`.
    pub(crate) fn file(op: &str, path: &str, error: &io::Error) -> Self {
        Self::Message(format!("{op} {path}: {}", errno_text(error)))
    }
}

/// The system's text of `error`, without Rust's addition, in lower case as Go has it.
pub(crate) fn errno_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// The answer of every verb.
pub(crate) type Result<T = ()> = std::result::Result<T, Error>;
