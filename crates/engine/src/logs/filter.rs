//! From records to what a reader asked for.

use bytes::Bytes;
use gotmpl::query_escape;
use jiff::Timestamp;
use runtime::{
    logfile::{LogForm, local},
    time::rfc3339,
};
use types::options::{LogsOptions, StdStream};

use super::json::{self, Line};
use crate::clock;

/// Longer records are damage.
const LONGEST: usize = 1 << 20;

/// Takes records in and gives pieces of output out.
pub(super) struct Filter {
    options: LogsOptions,
    form: LogForm,
    /// For each stream: its last entry did not end its line, and the next gets no time stamp.
    line_open: [bool; 2],
    out: Vec<u8>,
    /// Which stream's piece ends where.
    pieces: Vec<(StdStream, usize)>,
    /// Attributes as they were met last, and as they are shown.
    attrs: (Vec<u8>, Vec<u8>),
    /// Nothing that comes is wanted any more.
    pub(super) done: bool,
}

impl Filter {
    pub(super) fn new(options: LogsOptions, form: LogForm) -> Self {
        Self {
            options,
            form,
            line_open: [false; 2],
            out: Vec::new(),
            pieces: Vec::new(),
            attrs: (Vec::new(), Vec::new()),
            done: false,
        }
    }

    pub(super) fn options(&self) -> &LogsOptions {
        &self.options
    }

    /// Reads the whole records at the beginning of `bytes`; answers how many bytes they were. What
    /// is left over at the `last` bytes of a file that grows no more is damage, and counts as read.
    pub(super) fn feed(&mut self, bytes: &[u8], last: bool) -> usize {
        // What is shown is hardly longer than its record.
        self.out.reserve(bytes.len());
        let used = match self.form {
            LogForm::JsonFile => self.feed_lines(bytes),
            LogForm::Local => self.feed_local(bytes),
        };
        if (last || bytes.len() - used > LONGEST) && !self.done {
            bytes.len()
        } else {
            used
        }
    }

    fn feed_lines(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            let line = &bytes[at..newline];
            at = newline + 1;
            // A damaged line is passed over rather than hiding all that follow it.
            if let Some(line) = json::parse(line)
                && self.wants(line.stderr, || {
                    line.time.parse::<Timestamp>().ok().map(clock::nanos)
                })
            {
                self.show_line(&line);
            }
            if self.done {
                break;
            }
        }
        at
    }

    fn show_line(&mut self, line: &Line<'_>) {
        let ends = json::ends_line(line);
        self.begin(line.stderr, ends, line.time.as_bytes());
        if self.options.details {
            if let Some(attrs) = &line.attrs {
                if self.attrs.0 != **attrs {
                    self.attrs = (attrs.to_vec(), shown_attrs(attrs));
                }
                self.out.extend_from_slice(&self.attrs.1);
            }
            self.out.push(b' ');
        }
        if line.plain {
            self.out.extend_from_slice(&line.text);
        } else {
            json::unescape(&mut self.out, &line.text);
        }
        self.end(line.stderr);
    }

    fn feed_local(&mut self, bytes: &[u8]) -> usize {
        let mut at = if bytes.starts_with(local::MAGIC) {
            local::MAGIC.len()
        } else {
            0
        };
        loop {
            match local::decode(&bytes[at..]) {
                local::Decoded::Record(record, length) => {
                    at += length;
                    let nanos = i64::try_from(record.nanos).unwrap_or(i64::MAX);
                    if self.wants(record.stderr, || Some(nanos)) {
                        let time = rfc3339(std::time::Duration::from_nanos(record.nanos));
                        self.begin(record.stderr, !record.partial, &time);
                        if self.options.details {
                            self.out.push(b' ');
                        }
                        self.out.extend_from_slice(record.payload);
                        if !record.partial {
                            self.out.push(b'\n');
                        }
                        self.end(record.stderr);
                    }
                }
                local::Decoded::More => return at,
                // There is no telling where the next record begins.
                local::Decoded::Damage => return bytes.len(),
            }
            if self.done {
                return at;
            }
        }
    }

    fn begin(&mut self, stderr: bool, ends: bool, time: &[u8]) {
        let open = &mut self.line_open[usize::from(stderr)];
        if self.options.timestamps && !*open {
            self.out.extend_from_slice(time);
            self.out.push(b' ');
        }
        *open = !ends;
    }

    fn end(&mut self, stderr: bool) {
        let stream = if stderr {
            StdStream::Err
        } else {
            StdStream::Out
        };
        let end = self.out.len();
        match self.pieces.last_mut() {
            Some((last, at)) if *last == stream => *at = end,
            _ => self.pieces.push((stream, end)),
        }
    }

    /// What was let through since the last time.
    pub(super) fn take(&mut self) -> Vec<(StdStream, Bytes)> {
        let all = Bytes::from(std::mem::take(&mut self.out));
        let mut from = 0;
        let pieces = std::mem::take(&mut self.pieces);
        let cut = |(stream, end): (StdStream, usize)| {
            let piece = all.slice(from..end);
            from = end;
            (stream, piece)
        };
        pieces.into_iter().map(cut).collect()
    }

    fn wants(&mut self, stderr: bool, time: impl FnOnce() -> Option<i64>) -> bool {
        let o = &self.options;
        let wanted = if stderr { o.stderr } else { o.stdout };
        if o.since.is_none() && o.until.is_none() {
            return wanted;
        }
        let Some(time) = time() else {
            return wanted;
        };
        // What comes later was written later.
        self.done = o.until.is_some_and(|until| time > until);
        wanted && !self.done && o.since.is_none_or(|since| time >= since)
    }
}

/// `a=b,c=d`, as Docker shows details.
fn shown_attrs(json: &[u8]) -> Vec<u8> {
    let attrs: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(json).unwrap_or_default();
    let mut out = String::new();
    for (name, value) in attrs {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(&query_escape(name.as_bytes()));
        out.push('=');
        out.push_str(&query_escape(value.as_bytes()));
    }
    out.into_bytes()
}
