//! From packed bytes to hashed, limited, unpacked ones.

use std::io::{self, BufRead, Read};

pub(crate) use archive::Compression;

use crate::digest::{Digest, Hasher};

/// One buffer's length: long enough that files are written in few calls, short enough to stay in
/// a core's cache between decompressor, hash and write.
const BUFFER: usize = 128 << 10;

/// Reads packed content as what it is packed of, and ends with an error beyond a limit.
pub(crate) struct Limited<'a> {
    source: Box<dyn Read + 'a>,
    pub(crate) compression: Compression,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    total: u64,
    limit: u64,
}

impl<'a> Limited<'a> {
    pub(crate) fn new(source: impl BufRead + 'a, limit: u64) -> io::Result<Self> {
        let (source, compression) = archive::unpacked(source)?;
        Ok(Self {
            source,
            compression,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            total: 0,
            limit,
        })
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn refill(&mut self) -> io::Result<()> {
        (self.start, self.end) = (0, 0);
        // Filled up, so that what follows works on few large pieces.
        while self.end < self.buffer.len() {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(length) => self.end += length,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.total += self.end as u64;
        if self.total > self.limit {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "it unpacks to more than {} bytes, which is the limit",
                    self.limit
                ),
            ));
        }
        Ok(())
    }
}

impl Read for Limited<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl BufRead for Limited<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.is_empty() {
            self.refill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, length: usize) {
        self.start += length;
    }
}

/// [`Read::read`] of what has a buffer of its own.
pub(crate) fn read_buffered(source: &mut impl BufRead, out: &mut [u8]) -> io::Result<usize> {
    let chunk = source.fill_buf()?;
    let length = chunk.len().min(out.len());
    out[..length].copy_from_slice(&chunk[..length]);
    source.consume(length);
    Ok(length)
}

/// [`Limited`] with the digest of what was read.
pub(crate) struct Unpacked<'a> {
    source: Limited<'a>,
    sum: Sum,
}

/// Where a digest comes from.
enum Sum {
    Computed(Hasher),
    Known(Digest),
}

impl<'a> Unpacked<'a> {
    pub(crate) fn new(source: impl BufRead + 'a, limit: u64) -> io::Result<Self> {
        Ok(Self {
            source: Limited::new(source, limit)?,
            sum: Sum::Computed(Hasher::default()),
        })
    }

    /// With the digest of the source as it is, which is not computed again where nothing is packed.
    pub(crate) fn known(mut self, digest: &Digest) -> Self {
        if self.compression() == Compression::None {
            self.sum = Sum::Known(digest.clone());
        }
        self
    }

    pub(crate) fn compression(&self) -> Compression {
        self.source.compression
    }

    /// The digest of everything; right when it was read to its end.
    pub(crate) fn digest(self) -> Digest {
        match self.sum {
            Sum::Computed(hasher) => hasher.finish(),
            Sum::Known(digest) => digest,
        }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, out)
    }
}

impl BufRead for Unpacked<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let fresh = self.source.is_empty();
        let chunk = self.source.fill_buf()?;
        if fresh && let Sum::Computed(hasher) = &mut self.sum {
            hasher.update(chunk);
        }
        Ok(chunk)
    }

    fn consume(&mut self, length: usize) {
        self.source.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8], limit: u64) -> io::Result<(Vec<u8>, Digest)> {
        let mut unpacked = Unpacked::new(bytes, limit)?;
        let mut out = Vec::new();
        unpacked.read_to_end(&mut out)?;
        Ok((out, unpacked.digest()))
    }

    #[test]
    fn all_kinds_are_told_apart() {
        let plain = vec![7_u8; 300_000];
        let zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
        let mut two = gzip(&plain[..100]);
        two.extend(gzip(&plain[100..]));
        for packed in [plain.clone(), gzip(&plain), zstd, two] {
            assert_eq!(
                read(&packed, 1 << 20).unwrap(),
                (plain.clone(), Digest::of(&plain))
            );
        }
        assert_eq!(read(b"", 1).unwrap().0, b"");
        let error = read(b"\xfd7zXZ\0..", 9).unwrap_err();
        assert!(error.to_string().contains("the xz data"), "{error}");
    }

    #[test]
    fn attack_22_bomb_ends_at_the_limit() {
        let bomb = gzip(&vec![0; 4 << 20]);
        assert!(bomb.len() < 1 << 16);
        assert!(
            read(&bomb, 1 << 20)
                .unwrap_err()
                .to_string()
                .contains("limit")
        );
    }

    #[test]
    fn cut_short_is_an_error() {
        let packed = gzip(
            &(0..100_000_u32)
                .flat_map(u32::to_le_bytes)
                .collect::<Vec<_>>(),
        );
        assert!(read(&packed[..packed.len() / 2], 1 << 20).is_err());
        assert!(read(&packed[..packed.len() - 4], 1 << 20).is_err());
    }
}
