//! What archives are compressed with, told by the first bytes: names and media types lie.

use std::io::{self, BufRead, Read};

/// How content is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// What begins like this.
    ///
    /// # Errors
    /// Where it is known and not supported.
    pub fn of(first: &[u8]) -> io::Result<Self> {
        let refuse = |name: &str| {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it is compressed with {name}, which is not supported; use gzip or zstd"),
            ))
        };
        match first {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            // A frame that decoders skip, as eStargz-like tools put first.
            [b, 0x2a, 0x4d, 0x18, ..] if b & 0xf0 == 0x50 => Ok(Self::Zstd),
            [b'B', b'Z', b'h', ..] => refuse("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => refuse("xz"),
            _ => Ok(Self::None),
        }
    }

    /// The suffix of an OCI layer's media type.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => "+gzip",
            Self::Zstd => "+zstd",
        }
    }
}

/// A reader of what `source` is packed of, and how it is.
///
/// # Errors
/// When the beginning cannot be read, or it is packed in a way that is not supported.
pub fn unpacked<'a>(
    mut source: impl BufRead + 'a,
) -> io::Result<(Box<dyn Read + 'a>, Compression)> {
    let mut first = [0_u8; 6];
    let mut got = 0;
    while got < first.len() {
        let length = source.read(&mut first[got..])?;
        if length == 0 {
            break;
        }
        got += length;
    }
    let compression = Compression::of(&first[..got])?;
    let whole = io::Cursor::new(first).take(got as u64).chain(source);
    let reader: Box<dyn Read + 'a> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(whole)?),
    };
    Ok((reader, compression))
}
