//! Reading tar streams: v7, ustar, GNU and PAX, with limits on everything that a header can ask
//! to be held in memory.
//!
//! Our own, because file data must go from the decompressor's buffer straight into `write`, and
//! because a header must not be able to make us allocate what it likes.

mod number;
mod pax;
mod sparse;

use std::io::{self, BufRead};

use number::number;
use pax::Extensions;
use sparse::check_sparse;

const BLOCK: usize = 512;
/// Longest PAX or GNU extension record that is read.
const MAX_EXTENSION: u64 = 1 << 20;

/// What kind of file an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
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
pub struct Header {
    /// As it is in the archive: nothing is cleaned or checked.
    pub path: Vec<u8>,
    /// What a link leads to.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Twelve bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The owning group's number.
    pub gid: u32,
    /// Length of the file that results, not of the data stored.
    pub size: u64,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Major and minor number.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the stored data belong, in order; everything, when none.
    pub sparse: Option<Vec<(u64, u64)>>,
}

impl Header {
    /// An entry of root's and of 1970, for archives that must be the same each time.
    #[must_use]
    pub fn new(path: &[u8], kind: Kind, size: u64) -> Self {
        Self {
            path: path.to_vec(),
            link: Vec::new(),
            kind,
            mode: if kind == Kind::Dir { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            size,
            mtime: (0, 0),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        }
    }
}

/// A tar stream.
pub struct TarReader<R> {
    source: R,
    /// Data of the present entry that were not read yet.
    left: u64,
    /// Bytes after them up to the next block.
    padding: u64,
    /// Global PAX records.
    global: Extensions,
}

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

impl<R: BufRead> TarReader<R> {
    /// Reads from `source`.
    pub fn new(source: R) -> Self {
        Self {
            source,
            left: 0,
            padding: 0,
            global: Extensions::default(),
        }
    }

    /// The next entry, skipping what was not read of the present one. None at the end.
    ///
    /// # Errors
    /// When the archive is damaged, asks for too much, or cannot be read.
    #[expect(clippy::should_implement_trait, reason = "it lends, and may fail")]
    pub fn next(&mut self) -> io::Result<Option<Header>> {
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
    ///
    /// # Errors
    /// When the archive ends early or cannot be read.
    pub fn data(&mut self) -> io::Result<&[u8]> {
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
    pub fn consume(&mut self, length: usize) {
        self.source.consume(length);
        self.left -= length as u64;
    }

    /// Reads up to the source's end, so that a digest covers all of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn drain(mut self) -> io::Result<R> {
        loop {
            let length = self.source.fill_buf()?.len();
            if length == 0 {
                return Ok(self.source);
            }
            self.source.consume(length);
        }
    }

    fn skip_data(&mut self) -> io::Result<()> {
        let padding = self.padding;
        let mut left = self.left.saturating_add(padding);
        (self.left, self.padding) = (0, 0);
        while left > 0 {
            let length = self.source.fill_buf()?.len();
            if length == 0 && left <= padding {
                // All of the file is there: docker's own client sends contexts that end so.
                return Ok(());
            }
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

#[cfg(test)]
mod tests {
    use super::*;

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
