//! What archives are compressed with, told by the first bytes: names and media types lie.
//!
//! All decoders are in this process and, but for zstd's, in Rust; the one of xz has no `unsafe` at
//! all (its feature `optimization` is off). None takes more memory than [`MAX_MEMORY`], whatever
//! the content asks for.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

/// What a decoder may take for what it has to remember: zstd's own bound, and twice what `xz -9`
/// needs.
const MAX_MEMORY: u32 = 128 << 20;
/// Bytes that tell formats apart.
const MAGIC: usize = 10;

/// How content is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// What begins like this.
    #[must_use]
    pub fn of(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A frame that decoders skip, as eStargz-like tools put first.
            [b, 0x2a, 0x4d, 0x18, ..] if b & 0xf0 == 0x50 => Self::Zstd,
            // The first block, or the end of nothing: a name in an archive may begin with BZh, too.
            [
                b'B',
                b'Z',
                b'h',
                b'1'..=b'9',
                0x31,
                0x41,
                0x59,
                0x26,
                0x53,
                0x59,
                ..,
            ]
            | [
                b'B',
                b'Z',
                b'h',
                b'1'..=b'9',
                0x17,
                0x72,
                0x45,
                0x38,
                0x50,
                0x90,
                ..,
            ] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }

    /// What people call it.
    fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// The suffix of an OCI layer's media type; none where a layer cannot be packed like that.
    #[must_use]
    pub fn suffix(self) -> Option<&'static str> {
        match self {
            Self::None => Some(""),
            Self::Gzip => Some("+gzip"),
            Self::Zstd => Some("+zstd"),
            Self::Bzip2 | Self::Xz => None,
        }
    }
}

/// Content that cannot be unpacked within the memory that there is for it.
#[derive(Debug)]
struct TooMuchMemory(Compression);

impl fmt::Display for TooMuchMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, most) = (self.0.name(), MAX_MEMORY >> 20);
        write!(
            f,
            "the {name} data need more than {most} MiB of memory to be unpacked, which is the \
             limit: pack it with a smaller dictionary"
        )
    }
}

impl std::error::Error for TooMuchMemory {}

/// Whether content was refused for the memory that it takes.
#[must_use]
pub fn needs_too_much(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|e| e.is::<TooMuchMemory>())
}

/// A reader of what `source` is packed of, and how it is. Several packed pieces one after the
/// other are one content. Errors of damaged data are [`io::ErrorKind::InvalidData`] and name the
/// format; those of `source` are passed on as they are.
///
/// # Errors
/// When the beginning cannot be read.
pub fn unpacked<'a>(
    mut source: impl BufRead + 'a,
) -> io::Result<(Box<dyn Read + 'a>, Compression)> {
    let mut first = [0_u8; MAGIC];
    let mut got = 0;
    while got < first.len() {
        match source.read(&mut first[got..]) {
            Ok(0) => break,
            Ok(length) => got += length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let compression = Compression::of(&first[..got]);
    let whole = io::Cursor::new(first).take(got as u64).chain(source);
    let failed = Rc::new(Cell::new(false));
    let source = Watched {
        source: whole,
        failed: Rc::clone(&failed),
    };
    let inner: Box<dyn Read + 'a> = match compression {
        Compression::None => return Ok((Box::new(source.source), compression)),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        Compression::Xz => {
            // What it takes besides the dictionary is counted, too.
            let most = (MAX_MEMORY >> 10) + 1024;
            Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, most))
        }
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
    };
    let reader = Decoder {
        inner,
        compression,
        failed,
    };
    Ok((Box::new(reader), compression))
}

/// A source that notes when it fails, so that its errors are not taken for a decoder's.
struct Watched<R> {
    source: R,
    failed: Rc<Cell<bool>>,
}

impl<R> Watched<R> {
    fn note<T>(&self, done: &io::Result<T>) {
        let error = done.as_ref().err();
        if error.is_some_and(|e| e.kind() != io::ErrorKind::Interrupted) {
            self.failed.set(true);
        }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let done = self.source.read(out);
        self.note(&done);
        done
    }
}

impl<R: BufRead> BufRead for Watched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let failed = &self.failed;
        self.source.fill_buf().inspect_err(|e| {
            if e.kind() != io::ErrorKind::Interrupted {
                failed.set(true);
            }
        })
    }

    fn consume(&mut self, length: usize) {
        self.source.consume(length);
    }
}

/// A decoder whose errors say what is wrong with which data.
struct Decoder<'a> {
    inner: Box<dyn Read + 'a>,
    compression: Compression,
    failed: Rc<Cell<bool>>,
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.inner.read(out).map_err(|e| {
            if self.failed.get() || e.kind() == io::ErrorKind::Interrupted {
                return e;
            }
            let why = e.to_string();
            if e.kind() == io::ErrorKind::OutOfMemory || why.contains("too much memory") {
                return bad(TooMuchMemory(self.compression));
            }
            let name = self.compression.name();
            bad(format!("the {name} data are damaged or cut short: {why}"))
        })
    }
}

fn bad(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    /// `bytes` as the real tool packs them.
    fn packed(command: &str, bytes: &[u8]) -> Vec<u8> {
        let mut words = command.split(' ');
        let mut tool = Command::new(words.next().unwrap());
        tool.args(words).arg("-c");
        tool.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut tool = tool.spawn().unwrap();
        let mut stdin = tool.stdin.take().unwrap();
        let bytes = bytes.to_vec();
        let feeding = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
        let out = tool.wait_with_output().unwrap();
        feeding.join().unwrap();
        assert!(out.status.success());
        out.stdout
    }

    fn read(bytes: &[u8]) -> io::Result<(Vec<u8>, Compression)> {
        let (mut reader, compression) = unpacked(bytes)?;
        let mut out = Vec::new();
        reader.read_to_end(&mut out)?;
        Ok((out, compression))
    }

    /// Neither all alike nor all different.
    fn text(length: u32) -> Vec<u8> {
        (0..length)
            .flat_map(|n| (n.wrapping_mul(n) / 7).to_le_bytes())
            .collect()
    }

    const TOOLS: [(&str, Compression); 6] = [
        ("gzip", Compression::Gzip),
        ("bzip2", Compression::Bzip2),
        ("xz", Compression::Xz),
        ("xz --x86 --lzma2=preset=1 --check=sha256", Compression::Xz),
        (
            "xz --delta=dist=4 --lzma2 --block-size=65536",
            Compression::Xz,
        ),
        ("zstd -q", Compression::Zstd),
    ];

    #[test]
    fn what_the_tools_pack_is_unpacked_also_in_several_pieces() {
        let plain = text(200_000);
        assert_eq!(read(&plain).unwrap(), (plain.clone(), Compression::None));
        for (tool, compression) in TOOLS {
            let whole = packed(tool, &plain);
            assert_eq!(
                read(&whole).unwrap(),
                (plain.clone(), compression),
                "{tool}"
            );
            let two = [packed(tool, &plain[..999]), packed(tool, &plain[999..])].concat();
            assert_eq!(read(&two).unwrap(), (plain.clone(), compression), "{tool}");
            let nothing = read(&packed(tool, b"")).unwrap();
            assert_eq!(nothing, (Vec::new(), compression), "{tool}");
        }
        // Padding between and behind streams.
        let padded = [
            packed("xz", b"one "),
            vec![0; 8],
            packed("xz", b"two"),
            vec![0; 4],
        ]
        .concat();
        assert_eq!(read(&padded).unwrap().0, b"one two");
    }

    #[test]
    fn a_name_that_begins_like_a_format_is_none() {
        for plain in [&b"BZh91AY&S-and-more"[..], b"BZhello", b"\xfd7zXZ", b""] {
            assert_eq!(read(plain).unwrap(), (plain.to_vec(), Compression::None));
        }
    }

    #[test]
    fn damage_names_the_format() {
        let plain = text(50_000);
        for (tool, compression) in TOOLS {
            let whole = packed(tool, &plain);
            let mut damaged = whole.clone();
            damaged[whole.len() / 2] ^= 0x10;
            for bytes in [
                &whole[..whole.len() / 2],
                &whole[..whole.len() - 5],
                &damaged,
            ] {
                let error = read(bytes).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                let told = format!("the {} data are damaged", compression.name());
                assert!(error.to_string().contains(&told), "{tool}: {error}");
            }
        }
    }

    /// A source that fails with what a decoder could have said, too.
    struct Broken<'a>(&'a [u8]);

    impl Read for Broken<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the client left",
                )),
                length => Ok(length),
            }
        }
    }

    #[test]
    fn errors_of_the_source_stay_what_they_are() {
        for (tool, _) in TOOLS {
            let whole = packed(tool, &text(50_000));
            let source = BufReader::new(Broken(&whole[..whole.len() / 2]));
            let mut out = Vec::new();
            let error = unpacked(source)
                .unwrap()
                .0
                .read_to_end(&mut out)
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{tool}");
            assert_eq!(error.to_string(), "the client left", "{tool}");
        }
    }

    #[test]
    fn attack_22_a_dictionary_is_bounded() {
        // What the highest level takes is within the bound.
        let best = packed("xz -9e", b"small");
        assert_eq!(read(&best).unwrap().0, b"small");
        // Told in the block's header, before anything is unpacked; the header's sum made right.
        let mut huge = packed("xz -T1", b"small");
        for (code, taken) in [(30, true), (31, false), (40, false)] {
            huge[16] = code;
            let mut sum = flate2::Crc::new();
            sum.update(&huge[12..20]);
            huge[20..24].copy_from_slice(&sum.sum().to_le_bytes());
            match read(&huge) {
                Ok((out, _)) => assert!(taken && out == b"small", "{code}"),
                Err(error) => {
                    assert!(!taken && needs_too_much(&error), "{code}: {error}");
                    let told = "the xz data need more than 128 MiB";
                    assert!(error.to_string().contains(told), "{error}");
                }
            }
        }
        let error = read(&packed("zstd -q --ultra --long=30", &text(100))).unwrap_err();
        assert!(needs_too_much(&error), "{error}");
    }
}
