//! Reading tar streams: v7, ustar, GNU and PAX, with limits on everything that a header can ask
//! to be held in memory.
//!
//! Our own, because file data must go from the decompressor's buffer straight into `write`, and
//! because a header must not be able to make us allocate what it likes.

use std::io::{self, BufRead};

const BLOCK: usize = 512;
/// Longest PAX or GNU extension record that is read.
const MAX_EXTENSION: u64 = 1 << 20;
/// Most pieces that a sparse file may have.
const MAX_SPARSE: usize = 1 << 16;

/// What kind of file an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Dir,
    Fifo,
}

/// One entry's description.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Length of the file that results, not of the data stored.
    pub(crate) size: u64,
    pub(crate) mtime: (i64, u32),
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the stored data belong, in order; everything, when none.
    pub(crate) sparse: Option<Vec<(u64, u64)>>,
}

/// A tar stream.
pub(crate) struct TarReader<R> {
    source: R,
    /// Data of the present entry that were not read yet.
    left: u64,
    /// Bytes after them up to the next block.
    padding: u64,
    /// Global PAX records.
    global: Extensions,
}

#[derive(Debug, Default, Clone)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: PaxSparse,
}

#[derive(Debug, Default, Clone)]
struct PaxSparse {
    major: Option<u64>,
    minor: Option<u64>,
    name: Option<Vec<u8>>,
    real_size: Option<u64>,
    map: Vec<u64>,
}

impl PaxSparse {
    fn is_used(&self) -> bool {
        self.major.is_some() || self.real_size.is_some() || !self.map.is_empty()
    }
}

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

impl<R: BufRead> TarReader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            left: 0,
            padding: 0,
            global: Extensions::default(),
        }
    }

    /// The next entry, skipping what was not read of the present one. None at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Header>> {
        let mut extensions = self.global.clone();
        let mut long_path = None;
        let mut long_link = None;
        loop {
            self.skip_data()?;
            let Some(block) = self.read_header()? else {
                return Ok(None);
            };
            let stored =
                number(&block[124..136]).ok_or_else(|| bad("an entry's size is malformed"))?;
            let stored = u64::try_from(stored).map_err(|_| bad("an entry's size is negative"))?;
            match block[156] {
                b'g' => {
                    let records = self.read_extension(stored)?;
                    self.global.apply(&records)?;
                    extensions = self.global.clone();
                }
                b'x' => {
                    let records = self.read_extension(stored)?;
                    extensions.apply(&records)?;
                }
                b'L' => long_path = Some(until_zero(&self.read_extension(stored)?)),
                b'K' => long_link = Some(until_zero(&self.read_extension(stored)?)),
                kind => {
                    extensions.path = extensions.path.or(long_path);
                    extensions.link = extensions.link.or(long_link);
                    return self.entry(&block, kind, stored, extensions).map(Some);
                }
            }
        }
    }

    /// Data of the present entry that are at hand; empty at its end.
    pub(crate) fn data(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let chunk = self.source.fill_buf()?;
        if chunk.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive ends within a file",
            ));
        }
        let length = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(chunk.len());
        Ok(&chunk[..length])
    }

    /// Says that so many bytes of [`Self::data`] are done with.
    pub(crate) fn consume(&mut self, length: usize) {
        self.source.consume(length);
        self.left -= length as u64;
    }

    /// Reads up to the source's end, so that a digest covers all of it.
    pub(crate) fn drain(mut self) -> io::Result<R> {
        loop {
            let length = self.source.fill_buf()?.len();
            if length == 0 {
                return Ok(self.source);
            }
            self.source.consume(length);
        }
    }

    fn skip_data(&mut self) -> io::Result<()> {
        let mut left = self.left.saturating_add(self.padding);
        (self.left, self.padding) = (0, 0);
        while left > 0 {
            let length = self.source.fill_buf()?.len();
            if length == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the archive ends within an entry",
                ));
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(length);
            self.source.consume(length);
            left -= length as u64;
        }
        Ok(())
    }

    /// A header block with a right checksum; none at the end mark or the end of the stream.
    fn read_header(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0_u8; BLOCK];
        let mut got = 0;
        while got < BLOCK {
            let length = self.source.read(&mut block[got..])?;
            if length == 0 {
                break;
            }
            got += length;
        }
        if got == 0 {
            return Ok(None);
        }
        if got < BLOCK {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive ends within a header",
            ));
        }
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let plain: u32 = block
            .iter()
            .enumerate()
            .map(|(at, b)| {
                if (148..156).contains(&at) {
                    32
                } else {
                    u32::from(*b)
                }
            })
            .sum();
        let signed: i64 = block
            .iter()
            .enumerate()
            .map(|(at, b)| {
                if (148..156).contains(&at) {
                    32
                } else {
                    i64::from(i8::from_ne_bytes([*b]))
                }
            })
            .sum();
        let stated = number(&block[148..156]);
        if stated != Some(i64::from(plain)) && stated != Some(signed) {
            return Err(bad(
                "a header's checksum is wrong; this is not a tar archive or is damaged",
            ));
        }
        Ok(Some(block))
    }

    fn read_extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_EXTENSION {
            return Err(bad(format!(
                "an extended header has {size} bytes, the limit is {MAX_EXTENSION}"
            )));
        }
        self.set_data(size);
        let mut bytes = Vec::new();
        loop {
            let data = self.data()?;
            if data.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(data);
            let length = data.len();
            self.consume(length);
        }
    }

    fn set_data(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn entry(
        &mut self,
        block: &[u8; BLOCK],
        kind: u8,
        stored: u64,
        mut extensions: Extensions,
    ) -> io::Result<Header> {
        let stored = extensions.size.unwrap_or(stored);
        let own_path = ustar_path(block);
        let (kind, gnu_sparse) = match kind {
            b'0' | b'7' | 0 if own_path.ends_with(b"/") && extensions.path.is_none() => {
                (Kind::Dir, false)
            }
            b'0' | b'7' | 0 => (Kind::File, false),
            b'S' => (Kind::File, true),
            b'1' => (Kind::HardLink, false),
            b'2' => (Kind::Symlink, false),
            b'3' => (Kind::Char, false),
            b'4' => (Kind::Block, false),
            b'5' => (Kind::Dir, false),
            b'6' => (Kind::Fifo, false),
            other => {
                return Err(bad(format!(
                    "entry {:?} is of tar type {:?}, which is not supported",
                    String::from_utf8_lossy(&own_path),
                    char::from(other)
                )));
            }
        };
        // Links, devices and directories have no data, whatever size a writer put there.
        self.set_data(if kind == Kind::File { stored } else { 0 });
        let mut size = if kind == Kind::File { stored } else { 0 };
        let mut sparse = None;
        if gnu_sparse {
            let (map, real) = self.gnu_sparse_map(block)?;
            (size, sparse) = (real, Some(map));
        } else if kind == Kind::File && extensions.sparse.is_used() {
            let pax = std::mem::take(&mut extensions.sparse);
            size = pax
                .real_size
                .ok_or_else(|| bad("a sparse file has no size"))?;
            let map = if pax.major == Some(1) {
                self.pax_sparse_map()?
            } else {
                pax.map
            };
            if map.len() % 2 != 0 {
                return Err(bad("a sparse file's map is malformed"));
            }
            sparse = Some(map.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect());
            if let Some(name) = pax.name {
                extensions.path = Some(name);
            }
        }
        if let Some(map) = &sparse {
            check_sparse(map, size, self.left)?;
        }
        let header_id = |range: std::ops::Range<usize>| {
            number(&block[range]).and_then(|n| u64::try_from(n).ok())
        };
        let id = |extension: Option<u64>, range| {
            extension
                .or_else(|| header_id(range))
                .and_then(|id| u32::try_from(id).ok())
                .filter(|id| *id != u32::MAX)
                .ok_or_else(|| bad("an owner's number is malformed or too large"))
        };
        let part = |range: std::ops::Range<usize>| {
            header_id(range)
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0)
        };
        let path = extensions.path.unwrap_or(own_path);
        let link = extensions
            .link
            .unwrap_or_else(|| until_zero(&block[157..257]));
        if path.contains(&0) || link.contains(&0) {
            return Err(bad("an entry's name has a zero byte in it"));
        }
        Ok(Header {
            path,
            link,
            kind,
            mode: part(100..108) & 0o7777,
            uid: id(extensions.uid, 108..116)?,
            gid: id(extensions.gid, 116..124)?,
            size,
            mtime: extensions
                .mtime
                .unwrap_or((number(&block[136..148]).unwrap_or(0), 0)),
            device: (part(329..337), part(337..345)),
            xattrs: extensions.xattrs,
            sparse,
        })
    }

    /// The old GNU way: the map is in the header and in blocks after it.
    fn gnu_sparse_map(&mut self, block: &[u8; BLOCK]) -> io::Result<(Vec<(u64, u64)>, u64)> {
        let field = |bytes: &[u8]| {
            number(bytes)
                .and_then(|n| u64::try_from(n).ok())
                .ok_or_else(|| bad("a sparse file's map is malformed"))
        };
        let mut map = Vec::new();
        let mut add = |bytes: &[u8]| -> io::Result<()> {
            for piece in bytes.chunks_exact(24) {
                if piece[0] == 0 {
                    break;
                }
                map.push((field(&piece[..12])?, field(&piece[12..])?));
            }
            if map.len() > MAX_SPARSE {
                Err(bad("a sparse file has too many pieces"))
            } else {
                Ok(())
            }
        };
        add(&block[386..482])?;
        let mut more = block[482] != 0;
        while more {
            let mut extra = [0_u8; BLOCK];
            io::Read::read_exact(&mut self.source, &mut extra)?;
            add(&extra[..504])?;
            more = extra[504] != 0;
        }
        Ok((map, field(&block[483..495])?))
    }

    /// PAX sparse format 1.0: the map is decimal lines at the beginning of the data.
    fn pax_sparse_map(&mut self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let mut wanted = None;
        let mut digits = String::new();
        let mut used = 0_u64;
        while wanted.is_none_or(|wanted| numbers.len() < wanted) {
            let Some(byte) = self.data()?.first().copied() else {
                return Err(bad("a sparse file's map ends early"));
            };
            self.consume(1);
            used += 1;
            if byte != b'\n' {
                digits.push(char::from(byte));
                if digits.len() > 20 {
                    return Err(bad("a sparse file's map is malformed"));
                }
                continue;
            }
            let value: u64 = digits
                .parse()
                .map_err(|_| bad("a sparse file's map is malformed"))?;
            digits.clear();
            if wanted.is_some() {
                numbers.push(value);
            } else {
                let pieces = usize::try_from(value).unwrap_or(usize::MAX);
                if pieces > MAX_SPARSE {
                    return Err(bad("a sparse file has too many pieces"));
                }
                wanted = Some(pieces * 2);
            }
        }
        let rest = used.wrapping_neg() % BLOCK as u64;
        for _ in 0..rest {
            if self.data()?.is_empty() {
                return Err(bad("a sparse file's map ends early"));
            }
            self.consume(1);
        }
        Ok(numbers)
    }
}

fn check_sparse(map: &[(u64, u64)], size: u64, stored: u64) -> io::Result<()> {
    let mut end = 0;
    let mut total = 0_u64;
    for (offset, length) in map {
        let next = offset.checked_add(*length);
        let Some(next) = next.filter(|next| *next <= size && *offset >= end) else {
            return Err(bad("a sparse file's pieces overlap or go beyond its end"));
        };
        end = next;
        total += length;
    }
    if total != stored {
        return Err(bad("a sparse file's pieces do not match its data"));
    }
    Ok(())
}

impl Extensions {
    /// Records of the form `length key=value\n`.
    fn apply(&mut self, mut records: &[u8]) -> io::Result<()> {
        let malformed = || bad("an extended header is malformed");
        while !records.is_empty() {
            let space = records
                .iter()
                .position(|b| *b == b' ')
                .ok_or_else(malformed)?;
            let length: usize = std::str::from_utf8(&records[..space])
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(malformed)?;
            if length <= space + 1 || length > records.len() || records[length - 1] != b'\n' {
                return Err(malformed());
            }
            let record = &records[space + 1..length - 1];
            records = &records[length..];
            let equals = record
                .iter()
                .position(|b| *b == b'=')
                .ok_or_else(malformed)?;
            self.set(&record[..equals], &record[equals + 1..])?;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let text = || std::str::from_utf8(value).unwrap_or_default();
        let decimal = || {
            text().parse::<u64>().map_err(|_| {
                bad(format!(
                    "extended header {} is not a number",
                    String::from_utf8_lossy(key)
                ))
            })
        };
        let name = || Some(value.to_vec()).filter(|v| !v.is_empty());
        match key {
            b"path" => self.path = name(),
            b"linkpath" => self.link = name(),
            b"size" => self.size = Some(decimal()?),
            b"uid" => self.uid = Some(decimal()?),
            b"gid" => self.gid = Some(decimal()?),
            b"mtime" => {
                self.mtime = Some(pax_time(text()).ok_or_else(|| bad("a time is malformed"))?)
            }
            b"GNU.sparse.major" => self.sparse.major = Some(decimal()?),
            b"GNU.sparse.minor" => self.sparse.minor = Some(decimal()?),
            b"GNU.sparse.name" => self.sparse.name = name(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = Some(decimal()?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse.map.push(decimal()?),
            b"GNU.sparse.map" => {
                self.sparse.map = text()
                    .split(',')
                    .map(|n| {
                        n.parse()
                            .map_err(|_| bad("a sparse file's map is malformed"))
                    })
                    .collect::<io::Result<_>>()?;
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Seconds with a fraction, perhaps before 1970.
fn pax_time(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = if whole == "-" { 0 } else { whole.parse().ok()? };
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    if text.starts_with('-') && nanos > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos));
    }
    Some((seconds, nanos))
}

fn until_zero(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec()
}

fn ustar_path(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_zero(&block[..100]);
    // GNU uses the prefix's place for other things.
    if &block[257..263] == b"ustar\0" {
        let mut prefix = until_zero(&block[345..500]);
        if !prefix.is_empty() {
            prefix.push(b'/');
            prefix.extend_from_slice(&name);
            return prefix;
        }
    }
    name
}

/// Octal text, or base 256 when the first bit is set. An empty field is zero.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i64 = if negative { -1 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = if at == 0 {
                if negative { *byte } else { *byte & 0x7f }
            } else {
                *byte
            };
            let wide = (i128::from(value) << 8) | i128::from(byte);
            value = i64::try_from(wide).ok()?;
        }
        return Some(value);
    }
    let text = field
        .iter()
        .copied()
        .skip_while(|b| *b == b' ')
        .take_while(|b| *b != 0 && *b != b' ');
    let mut value = 0_i64;
    for byte in text {
        if !(b'0'..=b'7').contains(&byte) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(byte - b'0'))?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"    644 "), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(
            number(&[
                0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
            ]),
            Some(i64::MAX)
        );
        assert_eq!(number(&[0xbf; 12]), None);
    }

    #[test]
    fn times() {
        assert_eq!(pax_time("12.5"), Some((12, 500_000_000)));
        assert_eq!(pax_time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(pax_time("7"), Some((7, 0)));
        assert_eq!(pax_time("1.x"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in proptest::collection::vec(0_u8..=255, 0..4096)) {
            let mut reader = TarReader::new(bytes.as_slice());
            while let Ok(Some(_)) = reader.next() {}
        }

        #[test]
        fn damaged_archives_end_without_panic(at in 0_usize..512, value in 0_u8..=255, fix in 0_u8..2) {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(3);
            header.set_cksum();
            builder.append_data(&mut header, "a/b", &b"abc"[..]).unwrap();
            let mut bytes = builder.into_inner().unwrap();
            bytes[at] = value;
            if fix == 1 {
                let sum: u32 = bytes[..512].iter().enumerate()
                    .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
                bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
            let mut reader = TarReader::new(bytes.as_slice());
            while let Ok(Some(_)) = reader.next() {
                while let Ok(data) = reader.data() {
                    if data.is_empty() { break; }
                    let length = data.len();
                    reader.consume(length);
                }
            }
        }
    }
}
