//! The files of a container's log: what shim and daemon must agree on.
//!
//! The shim appends records to the newest file, whose path is the log's, and when that is full
//! renames it to `<path>.1`, what was `.1` to `.2`, and so on. A rotated file may be compressed to
//! `<path>.<n>.gz`; where both forms are there, the daemon or the shim died in between, and the
//! plain one counts. See docs/logs.md.

use serde::{Deserialize, Serialize};

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogForm {
    /// A JSON object a line, as Docker's `json-file`.
    #[default]
    JsonFile,
    /// The compact form of [`local`].
    Local,
}

/// How a log is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// How records are written.
    pub form: LogForm,
    /// Bytes after which a file is rotated; 0 for never.
    pub max_size: u64,
    /// How many files there are at most, the newest among them. With one, a full file begins
    /// again.
    pub max_file: u32,
    /// Compress rotated files.
    pub compress: bool,
    /// What stands in every record: the text of a JSON object.
    pub attrs: Option<String>,
    /// How many bytes of records are held in memory while the disk takes no more, before lines are
    /// lost.
    pub keep: u64,
}

/// Where a log's records end: in which file, and after how many of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// The time of the first record in the file, which names the file through all its renamings.
    /// Absent where there is no record in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Bytes of whole records.
    pub size: u64,
}

/// The name of the file that was rotated `number` times.
pub fn rotated(path: &str, number: u32) -> String {
    format!("{path}.{number}")
}

/// The same file, compressed.
pub fn compressed(path: &str, number: u32) -> String {
    format!("{path}.{number}.gz")
}

/// The empty file that is to become the newest one.
pub fn next(path: &str) -> String {
    format!("{path}.next")
}

/// A compressed file in the making.
pub fn compressing(path: &str) -> String {
    format!("{path}.gz.tmp")
}

/// The time of the record that a file begins with, which is the file's mark; `bytes` are as much of
/// its beginning as [`FIRST`]. Absent where there is no whole record.
pub fn first_time(form: LogForm, bytes: &[u8]) -> Option<String> {
    match form {
        LogForm::JsonFile => {
            let end = bytes.iter().position(|b| *b == b'\n')?;
            let line = std::str::from_utf8(&bytes[..end]).ok()?;
            let (_, time) = line.rsplit_once("\"time\":\"")?;
            Some(time.strip_suffix("\"}")?.to_owned())
        }
        LogForm::Local => match local::decode(bytes.strip_prefix(local::MAGIC)?) {
            local::Decoded::Record(record, _) => {
                let text = crate::time::rfc3339(std::time::Duration::from_nanos(record.nanos));
                Some(String::from_utf8_lossy(&text).into_owned())
            }
            _ => None,
        },
    }
}

/// No first record is longer: a line of 16 KiB, each byte escaped as six, and attributes.
pub const FIRST: usize = 192 << 10;

/// The form of the driver `local`. A file begins with [`MAGIC`](local::MAGIC); then records:
///
/// | bytes | what |
/// |---|---|
/// | 4 | little-endian: the payload's length in the low 24 bits, flags above |
/// | 8 | little-endian: nanoseconds since the epoch |
/// | n | the payload: what was written, without the end of the line |
/// | 4 | little-endian: length of the whole record, to read backwards |
pub mod local {
    use std::{fs::File, io, os::unix::fs::FileExt};

    /// The first bytes of a file.
    pub const MAGIC: &[u8; 8] = b"wharflg1";
    /// Flag: it came from standard error.
    pub const STDERR: u32 = 1 << 31;
    /// Flag: the line goes on with the next record of its stream.
    pub const PARTIAL: u32 = 1 << 30;
    /// The bits of the payload's length.
    pub const LENGTH: u32 = (1 << 24) - 1;
    /// Bytes of a record before the payload.
    pub const HEAD: usize = 12;
    /// Bytes of a record besides the payload.
    pub const OVERHEAD: usize = HEAD + 4;

    /// A record.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Record<'a> {
        /// It came from standard error.
        pub stderr: bool,
        /// The line goes on.
        pub partial: bool,
        /// Nanoseconds since the epoch.
        pub nanos: u64,
        /// What was written.
        pub payload: &'a [u8],
    }

    /// Appends a record.
    pub fn encode(out: &mut Vec<u8>, record: &Record<'_>) {
        let length = record.payload.len() as u32 & LENGTH;
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        let head = length | flag(record.stderr, STDERR) | flag(record.partial, PARTIAL);
        out.extend_from_slice(&head.to_le_bytes());
        out.extend_from_slice(&record.nanos.to_le_bytes());
        out.extend_from_slice(record.payload);
        out.extend_from_slice(&(length + OVERHEAD as u32).to_le_bytes());
    }

    fn ends_whole(file: &File, end: u64) -> io::Result<bool> {
        let begins = MAGIC.len() as u64;
        let mut word = [0; 4];
        file.read_exact_at(&mut word, end - 4)?;
        let length = u64::from(u32::from_le_bytes(word));
        if length < OVERHEAD as u64 || length > end - begins {
            return Ok(false);
        }
        file.read_exact_at(&mut word, end - length)?;
        Ok(u64::from(u32::from_le_bytes(word) & LENGTH) + OVERHEAD as u64 == length)
    }

    /// Where the last whole record before `end` ends. Looks at all of the file where it does not
    /// end there itself.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn whole_until(file: &File, end: u64) -> io::Result<u64> {
        let mut at = MAGIC.len() as u64;
        if end <= at || ends_whole(file, end)? {
            return Ok(end);
        }
        let mut word = [0; 4];
        while at + (OVERHEAD as u64) <= end {
            file.read_exact_at(&mut word, at)?;
            let length = u64::from(u32::from_le_bytes(word) & LENGTH) + OVERHEAD as u64;
            if at + length > end {
                break;
            }
            file.read_exact_at(&mut word, at + length - 4)?;
            if u64::from(u32::from_le_bytes(word)) != length {
                break;
            }
            at += length;
        }
        Ok(at)
    }

    /// What stands at the beginning of `bytes`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Decoded<'a> {
        /// A record, and its length.
        Record(Record<'a>, usize),
        /// The beginning of one.
        More,
        /// None.
        Damage,
    }

    /// Reads one record.
    pub fn decode(bytes: &[u8]) -> Decoded<'_> {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
            return Decoded::More;
        };
        let Some((nanos, rest)) = rest.split_first_chunk::<8>() else {
            return Decoded::More;
        };
        let head = u32::from_le_bytes(*head);
        let length = (head & LENGTH) as usize;
        if head & !(LENGTH | STDERR | PARTIAL) != 0 {
            return Decoded::Damage;
        }
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            return Decoded::More;
        };
        let Some((total, _)) = rest.split_first_chunk::<4>() else {
            return Decoded::More;
        };
        if u32::from_le_bytes(*total) as usize != length + OVERHEAD {
            return Decoded::Damage;
        }
        let record = Record {
            stderr: head & STDERR != 0,
            partial: head & PARTIAL != 0,
            nanos: u64::from_le_bytes(*nanos),
            payload,
        };
        Decoded::Record(record, length + OVERHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::local::*;

    #[test]
    fn local_records_come_back() {
        let record = Record {
            stderr: true,
            partial: false,
            nanos: 1_700_000_000_123_456_789,
            payload: b"a\0b\xff",
        };
        let mut bytes = Vec::new();
        encode(&mut bytes, &record);
        assert_eq!(decode(&bytes), Decoded::Record(record, bytes.len()));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Decoded::More);
        }
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(decode(&bytes), Decoded::Damage);
    }
}
