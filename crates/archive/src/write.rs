//! Writing tar streams: ustar, with PAX records where a field does not fit.

use std::io::{self, Write};

use crate::read::{Header, Kind};
use crate::sparse;

const BLOCK: usize = 512;

/// Writes entries one after the other.
pub struct TarWriter<W> {
    out: W,
    /// Bytes of the present entry's data that are still to come.
    left: u64,
    padding: usize,
}

impl<W: Write> TarWriter<W> {
    /// Writes to `out`, which should buffer.
    pub fn new(out: W) -> Self {
        Self {
            out,
            left: 0,
            padding: 0,
        }
    }

    /// Begins an entry; `header.size` bytes of [`TarWriter::data`] must follow, or as much as its
    /// pieces have where it is sparse.
    ///
    /// # Errors
    /// When it cannot be written, or data of the entry before are missing.
    pub fn entry(&mut self, header: &Header) -> io::Result<()> {
        self.finish_entry()?;
        let pieces = header.sparse.as_ref().filter(|_| header.kind == Kind::File);
        let map = pieces.map(|pieces| sparse::map(header, pieces));
        let size = match (&map, header.kind) {
            (Some((_, stored)), _) => *stored,
            (None, Kind::File) => header.size,
            (None, _) => 0,
        };
        let records = records(header, size);
        if !records.is_empty() {
            let mut block = [0_u8; BLOCK];
            fill(
                &mut block,
                b"PaxHeaders/entry",
                b"",
                b'x',
                0o644,
                0,
                0,
                records.len() as u64,
                0,
            );
            self.out.write_all(&block)?;
            self.out.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        let kind = match header.kind {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::Char => b'3',
            Kind::Block => b'4',
            Kind::Dir => b'5',
            Kind::Fifo => b'6',
        };
        let mut block = [0_u8; BLOCK];
        fill(
            &mut block,
            &header.path,
            &header.link,
            kind,
            header.mode,
            header.uid,
            header.gid,
            size,
            header.mtime.0,
        );
        octal(&mut block[329..337], u64::from(header.device.0));
        octal(&mut block[337..345], u64::from(header.device.1));
        checksum(&mut block);
        self.out.write_all(&block)?;
        self.left = size;
        self.padding = usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or(0);
        match map {
            Some((map, _)) => self.data(&map),
            None => Ok(()),
        }
    }

    /// Data of the present entry.
    ///
    /// # Errors
    /// When they cannot be written, or are more than the entry was to have.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("more data than the entry has"))?;
        self.out.write_all(bytes)
    }

    /// Bytes that the present entry still lacks.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Ends the archive; gives back what was written to.
    ///
    /// # Errors
    /// When it cannot be written, or data of the last entry are missing.
    pub fn finish(self) -> io::Result<W> {
        let (mut out, done) = self.into_inner(true);
        done?;
        out.flush()?;
        Ok(out)
    }

    /// What was written to, the archive ended if it is `whole`; and how that went.
    pub(crate) fn into_inner(mut self, whole: bool) -> (W, io::Result<()>) {
        let mut end = || {
            self.finish_entry()?;
            self.out.write_all(&[0; 2 * BLOCK])
        };
        let done = if whole { end() } else { Ok(()) };
        (self.out, done)
    }

    fn finish_entry(&mut self) -> io::Result<()> {
        if self.left > 0 {
            return Err(io::Error::other("data of an entry are missing"));
        }
        let padding = std::mem::take(&mut self.padding);
        self.out.write_all(&[0; BLOCK][..padding])
    }

    fn pad(&mut self, length: u64) -> io::Result<()> {
        let padding = usize::try_from(length.wrapping_neg() % BLOCK as u64).unwrap_or(0);
        self.out.write_all(&[0; BLOCK][..padding])
    }
}

/// What does not fit into a ustar header, as PAX records.
fn records(header: &Header, size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if header.path.len() > 100 || !header.path.is_ascii() {
        record(&mut out, b"path", &header.path);
    }
    if header.link.len() > 100 || !header.link.is_ascii() {
        record(&mut out, b"linkpath", &header.link);
    }
    for (key, value, most) in [
        ("size", size, 0o77_777_777_777),
        ("uid", u64::from(header.uid), 0o7_777_777),
        ("gid", u64::from(header.gid), 0o7_777_777),
    ] {
        if value > most {
            record(&mut out, key.as_bytes(), value.to_string().as_bytes());
        }
    }
    if header.sparse.is_some() && header.kind == Kind::File {
        let size = header.size.to_string();
        for (key, value) in [
            (b"GNU.sparse.major".as_slice(), b"1".as_slice()),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", &header.path),
            (b"GNU.sparse.realsize", size.as_bytes()),
        ] {
            record(&mut out, key, value);
        }
    }
    let (seconds, nanos) = header.mtime;
    if nanos > 0 || !(0..=0o77_777_777_777).contains(&seconds) {
        record(&mut out, b"mtime", time(seconds, nanos).as_bytes());
    }
    for (key, value) in &header.xattrs {
        record(
            &mut out,
            &[b"SCHILY.xattr.", key.as_slice()].concat(),
            value,
        );
    }
    out
}

/// Decimal seconds; before 1970 the nanoseconds count towards zero.
fn time(seconds: i64, nanos: u32) -> String {
    if seconds < 0 && nanos > 0 {
        return format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos);
    }
    if nanos == 0 {
        return seconds.to_string();
    }
    format!("{seconds}.{nanos:09}")
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[expect(clippy::too_many_arguments, reason = "the fields of one block")]
fn fill(
    block: &mut [u8; BLOCK],
    path: &[u8],
    link: &[u8],
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: i64,
) {
    let text = |field: &mut [u8], text: &[u8]| {
        let length = text.len().min(field.len());
        field[..length].copy_from_slice(&text[..length]);
    };
    text(&mut block[..100], path);
    octal(&mut block[100..108], u64::from(mode & 0o7777));
    octal(&mut block[108..116], u64::from(uid));
    octal(&mut block[116..124], u64::from(gid));
    octal(&mut block[124..136], size);
    octal(&mut block[136..148], u64::try_from(mtime).unwrap_or(0));
    block[156] = kind;
    text(&mut block[157..257], link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    checksum(block);
}

/// Octal digits and a zero byte; what does not fit is in a record, and here as zero.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    let text = if text.len() > digits {
        "0".repeat(digits)
    } else {
        text
    };
    field[..digits].copy_from_slice(text.as_bytes());
    field[digits] = 0;
}

fn checksum(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::TarReader;

    fn header(path: &[u8], kind: Kind) -> Header {
        Header {
            path: path.to_vec(),
            link: Vec::new(),
            kind,
            mode: 0o4755,
            uid: 0,
            gid: 70_000_000,
            size: 0,
            mtime: (-3, 250_000_000),
            device: (0, 0),
            xattrs: vec![(b"user.a".to_vec(), b"1\n2".to_vec())],
            sparse: None,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut writer = TarWriter::new(Vec::new());
        let long = [b"d/".as_slice(), &[b'x'; 300], "/ä".as_bytes()].concat();
        let mut file = header(&long, Kind::File);
        file.size = 600;
        writer.entry(&file).unwrap();
        assert!(writer.entry(&file).is_err(), "its data are missing");
        writer.data(&[7; 600]).unwrap();
        assert!(writer.data(b"x").is_err());
        let mut link = header(b"l", Kind::Symlink);
        link.link = vec![b'y'; 200];
        writer.entry(&link).unwrap();
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len() % 512, 0);
        let mut reader = TarReader::new(bytes.as_slice());
        let read = reader.next().unwrap().unwrap();
        assert_eq!((&read.path, read.size, read.mode), (&long, 600, 0o4755));
        assert_eq!((read.gid, read.mtime), (70_000_000, (-3, 250_000_000)));
        assert_eq!(read.xattrs, file.xattrs);
        let read = reader.next().unwrap().unwrap();
        assert_eq!((read.kind, read.link), (Kind::Symlink, link.link));
        assert!(reader.next().unwrap().is_none());
    }
}
