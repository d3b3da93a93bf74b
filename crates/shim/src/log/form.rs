//! How a record is written.

use runtime::logfile::{LogForm, LogOptions, local};

use super::{clock::Time, json};

/// The form of a log's records.
pub(super) enum Form {
    /// With what stands in every record between its stream and its time.
    Json {
        attrs: Vec<u8>,
    },
    Local,
}

impl Form {
    pub(super) fn new(options: &LogOptions) -> Self {
        match options.form {
            LogForm::Local => Self::Local,
            LogForm::JsonFile => Self::Json {
                attrs: options
                    .attrs
                    .as_ref()
                    .map(|attrs| format!("\"attrs\":{attrs},").into_bytes())
                    .unwrap_or_default(),
            },
        }
    }

    /// Appends the record of a `line` of `stream`, or of a piece of one that has not `ended`.
    pub(super) fn record(
        &self,
        out: &mut Vec<u8>,
        time: Time<'_>,
        stream: usize,
        line: &[u8],
        ended: bool,
    ) {
        match self {
            Self::Json { attrs } => {
                out.extend_from_slice(b"{\"log\":\"");
                json::escape(out, line);
                if ended {
                    out.extend_from_slice(b"\\n");
                }
                out.extend_from_slice(if stream == 0 {
                    b"\",\"stream\":\"stdout\","
                } else {
                    b"\",\"stream\":\"stderr\","
                });
                out.extend_from_slice(attrs);
                out.extend_from_slice(b"\"time\":\"");
                out.extend_from_slice(time.text);
                out.extend_from_slice(b"\"}\n");
            }
            Self::Local => local::encode(
                out,
                &local::Record {
                    stderr: stream == 1,
                    partial: !ended,
                    nanos: time.nanos,
                    payload: line,
                },
            ),
        }
    }
}
