//! The container's output on disk, in files that are rotated: the one place where lines are made
//! safe. Whatever else becomes of them (a reader, a server far away) starts from here.
//!
//! One `write` per batch of output that was read, and no `fsync`: what was written survives our
//! death and the daemon's, which is what is promised. When the disk is full, lines are kept in
//! memory as far as was asked for, and dropped and counted beyond that; the count is written to
//! the log as soon as there is room.

mod batch;
mod clock;
mod compress;
mod files;
mod form;
mod json;

use std::io;

use runtime::logfile::{LogEnd, LogForm, LogOptions, local};
use rustix::process::Pid;

use self::{batch::Batch, clock::Clock, files::Files, form::Form};

/// Longer lines are split, as Docker does.
const LINE: usize = 16 << 10;

/// No more than this is ever kept in memory; a batch counts its bytes in 32 bits.
const KEEP: usize = 1 << 30;

/// Records are written when there are so many bytes of them: one byte of output can become eighty
/// in the log.
const BATCH: usize = 96 << 10;

/// The log of a container.
pub(crate) struct Log {
    files: Files,
    form: Form,
    /// For each stream, the beginning of a line whose end has not come yet.
    partial: [Vec<u8>; 2],
    /// Records that the disk did not take.
    kept: Batch,
    /// How many bytes of them there may be.
    keep: usize,
    lost: u64,
    /// How many of `lost` the log itself does not tell yet.
    untold: u64,
    reason: String,
    clock: Clock,
}

impl Log {
    /// Opens the log to append to it. A full disk is no reason not to start a container.
    pub(crate) fn open(path: &str, options: &LogOptions) -> io::Result<Self> {
        Ok(Self {
            files: Files::open(path, options)?,
            form: Form::new(options),
            partial: [Vec::new(), Vec::new()],
            kept: Batch::default(),
            keep: usize::try_from(options.keep).unwrap_or(KEEP).min(KEEP),
            lost: 0,
            untold: 0,
            reason: String::new(),
            clock: Clock::default(),
        })
    }

    /// Lines that could not be written so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Where the log ends.
    pub(crate) fn end(&self) -> LogEnd {
        self.files.end()
    }

    /// The line of `stream` that is not in the log yet, because it has not ended.
    pub(crate) fn pending(&self, stream: usize) -> &[u8] {
        &self.partial[stream]
    }

    /// Takes what came from `stream` (0 output, 1 error).
    pub(crate) fn append(&mut self, stream: usize, mut bytes: &[u8]) {
        let mut batch = Batch::default();
        let mut carry = std::mem::take(&mut self.partial[stream]);
        while !bytes.is_empty() {
            let room = LINE - carry.len();
            let window = &bytes[..bytes.len().min(room)];
            let whole = match find_newline(window) {
                Some(end) => Some((end, end + 1, true)),
                None if window.len() == room => Some((room, room, false)),
                None => None,
            };
            let Some((end, used, ended)) = whole else {
                carry.extend_from_slice(window);
                break;
            };
            let time = self.clock.now();
            if carry.is_empty() {
                self.form
                    .record(&mut batch.bytes, time, stream, &window[..end], ended);
            } else {
                // A character may lie across the seam.
                carry.extend_from_slice(&window[..end]);
                self.form
                    .record(&mut batch.bytes, time, stream, &carry, ended);
                carry.clear();
            }
            batch.end_record();
            bytes = &bytes[used..];
            if batch.bytes.len() >= BATCH {
                self.write(&batch);
                batch.clear();
            }
        }
        if !carry.is_empty() {
            self.partial[stream] = carry;
        }
        self.write(&batch);
    }

    /// The stream has ended: what has no end of line will not get one.
    pub(crate) fn finish(&mut self, stream: usize) {
        let rest = std::mem::take(&mut self.partial[stream]);
        if !rest.is_empty() {
            let mut batch = Batch::default();
            let time = self.clock.now();
            self.form
                .record(&mut batch.bytes, time, stream, &rest, false);
            batch.end_record();
            self.write(&batch);
        }
    }

    /// Writes what was kept and tells what was lost, if there is room now. What is still kept
    /// then is lost.
    pub(crate) fn tell_lost(&mut self) {
        self.write(&Batch::default());
        let kept = self.kept.count() as u64;
        self.kept = Batch::default();
        self.lost += kept;
        self.untold += kept;
    }

    /// A child of ours has ended; true when it was the log's.
    pub(crate) fn child_ended(&mut self, pid: Pid, code: i32) -> bool {
        self.files.child_ended(pid, code)
    }

    fn write(&mut self, batch: &Batch) {
        if self.kept.count() > 0 {
            let mut kept = std::mem::take(&mut self.kept);
            match self.files.append(&kept) {
                (_, None) => {}
                (done, Some(error)) => {
                    kept.take_front(done);
                    self.kept = kept;
                    return self.postpone(batch, 0, &error);
                }
            }
        }
        if self.untold > 0 && !self.write_notice() {
            let error = io::Error::other(self.reason.clone());
            return self.postpone(batch, 0, &error);
        }
        if batch.count() > 0
            && let (done, Some(error)) = self.files.append(batch)
        {
            self.postpone(batch, done, &error);
        }
    }

    /// Says in the log itself what is missing from it; false when there is no room for that either.
    fn write_notice(&mut self) -> bool {
        let text = format!(
            "[wharf] {} lines of output were lost here: {}",
            self.untold, self.reason
        );
        let mut notice = Batch::default();
        let time = self.clock.now();
        self.form
            .record(&mut notice.bytes, time, 1, text.as_bytes(), true);
        notice.end_record();
        match self.files.append(&notice) {
            (_, None) => {
                self.untold = 0;
                true
            }
            (_, Some(error)) => {
                self.reason = error.to_string();
                false
            }
        }
    }

    /// The records of `batch` from `from` on could not be written.
    fn postpone(&mut self, batch: &Batch, from: usize, error: &io::Error) {
        let mut rest = from;
        // Once lines are lost, what follows them must not come before the notice.
        if self.untold == 0 {
            while rest < batch.count()
                && self.kept.bytes.len() + batch.record(rest).len() <= self.keep
            {
                self.kept.push(batch, rest);
                rest += 1;
            }
        }
        let dropped = (batch.count() - rest) as u64;
        if dropped > 0 && self.untold == 0 {
            eprintln!("wharf-shim: output is lost, the log takes no more: {error}");
        }
        self.lost += dropped;
        self.untold += dropped;
        self.reason = error.to_string();
    }
}

/// Newlines are looked for eight bytes at a time.
fn find_newline(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        // A byte becomes zero where there is a newline; borrows can only come from below, so the
        // lowest marked byte is a true one.
        let x = u64::from_le_bytes(*word) ^ (ONES * u64::from(b'\n'));
        let marks = x.wrapping_sub(ONES) & !x & (ONES << 7);
        if marks != 0 {
            return Some(i * 8 + (marks.trailing_zeros() / 8) as usize);
        }
    }
    tail.iter()
        .position(|b| *b == b'\n')
        .map(|at| words.len() * 8 + at)
}

/// The bytes that an empty file of this form begins with.
fn header(form: LogForm) -> &'static [u8] {
    match form {
        LogForm::JsonFile => b"",
        LogForm::Local => local::MAGIC,
    }
}

#[cfg(test)]
mod tests;
