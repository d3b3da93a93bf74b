//! The container's output on disk, in the form of Docker's json-file: a JSON object per line of
//! output. A line longer than 16 KiB becomes several, all but the last without `\n`.
//!
//! One `write` per piece of output that was read, and no `fsync`: what was written survives our
//! death and the daemon's, which is what is promised. When the disk is full, lines are dropped and
//! counted, and the count is written to the log as soon as there is room.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use runtime::time::{LEN, rfc3339, set_nanos};
use rustix::io::Errno;

/// Longer lines are split, as Docker does.
const LINE: usize = 16 << 10;

/// The log of a container.
pub(crate) struct Log {
    path: String,
    /// Absent if there was no room to make it; tried again with each piece of output.
    file: Option<File>,
    /// For each stream, the beginning of a line whose end has not come yet.
    partial: [Vec<u8>; 2],
    lost: u64,
    /// How many of `lost` the log itself does not tell yet.
    untold: u64,
    reason: String,
    clock: Clock,
}

impl Log {
    /// Opens the log to append to it. A full disk is no reason not to start a container.
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        let file = match open(path) {
            Ok(file) => Some(file),
            Err(e) if is_full(&e) => None,
            Err(e) => return Err(e),
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            partial: [Vec::new(), Vec::new()],
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

    /// Takes what came from `stream` (0 output, 1 error).
    pub(crate) fn append(&mut self, stream: usize, mut bytes: &[u8]) {
        let mut batch = Vec::with_capacity(bytes.len() + bytes.len() / 2 + 256);
        let carry = &mut self.partial[stream];
        while !bytes.is_empty() {
            let room = LINE - carry.len();
            let window = &bytes[..bytes.len().min(room)];
            match find_newline(window) {
                Some(end) => {
                    record(
                        &mut batch,
                        &mut self.clock,
                        stream,
                        carry,
                        &window[..end],
                        true,
                    );
                    carry.clear();
                    bytes = &bytes[end + 1..];
                }
                None if window.len() == room => {
                    record(&mut batch, &mut self.clock, stream, carry, window, false);
                    carry.clear();
                    bytes = &bytes[room..];
                }
                None => {
                    carry.extend_from_slice(window);
                    bytes = &[];
                }
            }
        }
        if carry.is_empty() && carry.capacity() > 0 {
            *carry = Vec::new();
        }
        self.write(batch);
    }

    /// The stream has ended: what has no end of line will not get one.
    pub(crate) fn finish(&mut self, stream: usize) {
        let rest = std::mem::take(&mut self.partial[stream]);
        if !rest.is_empty() {
            let mut batch = Vec::new();
            record(&mut batch, &mut self.clock, stream, &rest, &[], false);
            self.write(batch);
        }
    }

    /// Tells what was lost, if it was not told yet and if there is room now.
    pub(crate) fn tell_lost(&mut self) {
        if self.untold > 0 {
            self.write(Vec::new());
        }
    }

    fn write(&mut self, batch: Vec<u8>) {
        if self.untold == 0 {
            return self.write_records(&batch, 0);
        }
        let text = format!(
            "[wharf] {} lines of output were lost here: {}",
            self.untold, self.reason
        );
        let mut notice = Vec::new();
        record(&mut notice, &mut self.clock, 1, text.as_bytes(), &[], true);
        notice.extend_from_slice(&batch);
        self.write_records(&notice, 1);
    }

    /// Writes records, the first `notices` of which are our own and not counted when lost.
    fn write_records(&mut self, records: &[u8], notices: u64) {
        if records.is_empty() {
            return;
        }
        let (written, error) = match self.file() {
            Ok(file) => write_all(file, records),
            Err(e) => (0, Some(e)),
        };
        let Some(error) = error else {
            self.untold = 0;
            return;
        };
        // Only whole records may stay: the rest of the last one is cut off again.
        let whole = records[..written]
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        if let Some(file) = &self.file
            && written > whole
            && let Ok(meta) = file.metadata()
        {
            let _ = file.set_len(meta.len().saturating_sub((written - whole) as u64));
        }
        if whole > 0 && notices > 0 {
            self.untold = 0;
        }
        let dropped = records[whole..].iter().filter(|b| **b == b'\n').count() as u64;
        let dropped = dropped - if whole == 0 { notices } else { 0 };
        self.lost += dropped;
        self.untold += dropped;
        self.reason = error.to_string();
    }

    fn file(&mut self) -> io::Result<&File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(open(&self.path)?)),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn open(path: &str) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    // A record that a power cut left half must not swallow our first one.
    let len = file.metadata()?.len();
    if len > 0 {
        let mut last = [0];
        file.read_exact_at(&mut last, len - 1)?;
        if last[0] != b'\n' {
            let _ = write_all(&file, b"\n");
        }
    }
    Ok(file)
}

fn write_all(file: &File, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut at = 0;
    while at < bytes.len() {
        match rustix::io::write(file, &bytes[at..]) {
            Ok(0) => return (at, Some(io::ErrorKind::WriteZero.into())),
            Ok(n) => at += n,
            Err(Errno::INTR) => {}
            Err(e) => return (at, Some(e.into())),
        }
    }
    (at, None)
}

/// Tells the time as text, working out year to second only once a second.
#[derive(Default)]
struct Clock {
    second: Option<u64>,
    text: [u8; LEN],
}

impl Clock {
    fn now(&mut self) -> &[u8; LEN] {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        if self.second == Some(now.as_secs()) {
            set_nanos(&mut self.text, now.subsec_nanos());
        } else {
            self.second = Some(now.as_secs());
            self.text = rfc3339(now);
        }
        &self.text
    }
}

fn record(
    out: &mut Vec<u8>,
    clock: &mut Clock,
    stream: usize,
    start: &[u8],
    rest: &[u8],
    whole: bool,
) {
    out.extend_from_slice(b"{\"log\":\"");
    if start.is_empty() {
        escape(out, rest);
    } else if rest.is_empty() {
        escape(out, start);
    } else {
        // A character may lie across the seam.
        let mut joined = Vec::with_capacity(start.len() + rest.len());
        joined.extend_from_slice(start);
        joined.extend_from_slice(rest);
        escape(out, &joined);
    }
    if whole {
        out.extend_from_slice(b"\\n");
    }
    out.extend_from_slice(if stream == 0 {
        b"\",\"stream\":\"stdout\",\"time\":\""
    } else {
        b"\",\"stream\":\"stderr\",\"time\":\""
    });
    out.extend_from_slice(clock.now());
    out.extend_from_slice(b"\"}\n");
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

/// Appends `bytes` as the inside of a JSON string, as Go's json does: `<`, `>`, `&`, U+2028 and
/// U+2029 are escaped too, and each byte that is not UTF-8 becomes U+FFFD.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        escape_valid(out, chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn escape_valid(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut from = 0;
    for (i, &b) in bytes.iter().enumerate() {
        if !SPECIAL[usize::from(b)] {
            continue;
        }
        // The three bytes of U+2028 and U+2029 begin like those of other characters.
        let separator = b == 0xe2 && bytes[i + 1] == 0x80 && matches!(bytes[i + 2], 0xa8 | 0xa9);
        if b == 0xe2 && !separator {
            continue;
        }
        out.extend_from_slice(&bytes[from..i]);
        from = i + 1;
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0xe2 => {
                out.extend_from_slice(if bytes[i + 2] == 0xa8 {
                    b"\\u2028"
                } else {
                    b"\\u2029"
                });
                from = i + 3;
            }
            b => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[usize::from(b >> 4)],
                HEX[usize::from(b & 15)],
            ]),
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

/// The bytes at which [`escape_valid`] must look twice.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut b = 0;
    while b < 0x20 {
        special[b] = true;
        b += 1;
    }
    let more = b"\"\\<>&\xe2";
    let mut i = 0;
    while i < more.len() {
        special[more[i] as usize] = true;
        i += 1;
    }
    special
};

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_as_go_does() {
        assert_eq!(escaped(b"plain"), "plain");
        assert_eq!(escaped(b"a\"b\\c\td\re\x1b"), r#"a\"b\\c\u0009d\re\u001b"#);
        assert_eq!(escaped(b"<a&b>"), r"\u003ca\u0026b\u003e");
        assert_eq!(
            escaped("h\u{e9}\u{2028}\u{2029}\u{2027}\u{20ac}".as_bytes()),
            "h\u{e9}\\u2028\\u2029\u{2027}\u{20ac}"
        );
        assert_eq!(escaped(b"\xff\xe2\x82x\xe2"), r"\ufffd\ufffd\ufffdx\ufffd");
    }

    #[test]
    fn finds_newlines() {
        for len in 0..40 {
            let mut bytes = vec![0x0bu8; len];
            assert_eq!(find_newline(&bytes), None);
            for at in (0..len).rev() {
                bytes[at] = b'\n';
                assert_eq!(find_newline(&bytes), Some(at));
            }
        }
    }

    fn logged(pieces: &[&[u8]]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(path.to_str().unwrap()).unwrap();
        pieces.iter().for_each(|p| log.append(0, p));
        log.finish(0);
        std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|l| {
                let value: serde_json::Value = serde_json::from_str(l).unwrap();
                assert_eq!(value["stream"], "stdout");
                assert!(value["time"].as_str().unwrap().ends_with('Z'));
                value["log"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    #[test]
    fn lines_and_pieces() {
        assert_eq!(
            logged(&[b"a\nb", b"c\n", b"\n", b"end"]),
            ["a\n", "bc\n", "\n", "end"]
        );
        assert_eq!(logged(&[]), Vec::<String>::new());
        // A character that came in two reads is whole.
        assert_eq!(logged(&[b"\xe2\x82", b"\xac\n"]), ["\u{20ac}\n"]);
    }

    #[test]
    fn long_lines_are_split() {
        let long = vec![b'x'; LINE + 5];
        let mut with_end = long.clone();
        with_end.push(b'\n');
        let got = logged(&[&with_end]);
        assert_eq!(got.iter().map(String::len).collect::<Vec<_>>(), [LINE, 6]);
        // Exactly as long as the limit: the end of the line comes alone.
        let mut exact = vec![b'x'; LINE];
        exact.push(b'\n');
        assert_eq!(
            logged(&[&exact])
                .iter()
                .map(String::len)
                .collect::<Vec<_>>(),
            [LINE, 1]
        );
        let got = logged(&[&long[..10_000], &long[10_000..]]);
        assert_eq!(got.iter().map(String::len).collect::<Vec<_>>(), [LINE, 5]);
    }

    #[test]
    fn a_torn_record_is_closed_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "{\"log\":\"to").unwrap();
        let mut log = Log::open(path.to_str().unwrap()).unwrap();
        log.append(1, b"x\n");
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.lines()
                .nth(1)
                .unwrap()
                .starts_with("{\"log\":\"x\\n\",\"stream\":\"stderr\"")
        );
    }
}
