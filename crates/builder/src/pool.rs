//! Contents of files by their digests: what contexts are made of.
//!
//! `pool/<first two digits>/<digest>`. Nothing in it is synced: it is good for the boot that it was
//! written in, and a pool of an earlier boot is emptied, which costs clients nothing but sending
//! their files once more.

use std::{
    collections::HashSet,
    fs::{DirBuilder, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use image::{CancellationToken, Digest, Hasher};

use crate::error::{Error, Result};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// One read's length.
const BUFFER: usize = 256 << 10;
/// Zeros that are worth a hole.
const HOLE: usize = 16 << 10;
/// Length of what stands before each content, see [`types::build::content_header`].
const HEADER: usize = 64 + 16 + 1;

/// All contents.
#[derive(Debug)]
pub(crate) struct Pool {
    dir: PathBuf,
    known: Mutex<HashSet<Digest>>,
    next: AtomicU64,
}

/// Makes a directory for root alone.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io(format!("create {}", path.display())))
}

impl Pool {
    /// Opens the pool in `dir`.
    pub(crate) fn open(dir: PathBuf) -> Result<Self> {
        let what = || format!("open the build contexts in {}", dir.display());
        let boot = std::fs::read_to_string(BOOT_ID).map_err(Error::io(what()))?;
        let marker = dir.join("boot_id");
        if std::fs::read_to_string(&marker).ok().as_deref() != Some(boot.as_str()) {
            match std::fs::remove_dir_all(&dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(what())(e)),
                _ => {}
            }
            private_dir(&dir)?;
            std::fs::write(&marker, boot).map_err(Error::io(what()))?;
        }
        let _ = std::fs::remove_dir_all(dir.join("new"));
        private_dir(&dir.join("new"))?;
        let mut known = HashSet::new();
        for part in std::fs::read_dir(&dir).map_err(Error::io(what()))? {
            let path = part.map_err(Error::io(what()))?.path();
            if path.is_dir() && !path.ends_with("new") {
                for file in std::fs::read_dir(&path).map_err(Error::io(what()))? {
                    let name = file.map_err(Error::io(what()))?.file_name();
                    known.extend(name.to_str().and_then(Digest::from_hex));
                }
            }
        }
        Ok(Self {
            dir,
            known: Mutex::new(known),
            next: AtomicU64::new(0),
        })
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has this content.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.known().contains(digest)
    }

    /// Where a content is.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(&digest.hex()[..2]).join(digest.hex())
    }

    /// Opens a content.
    pub(crate) fn file(&self, digest: &Digest) -> Result<File> {
        File::open(self.path(digest)).map_err(|e| {
            self.known().remove(digest);
            Error::io(format!(
                "open a file of the build context ({digest}): it was removed meanwhile, build again"
            ))(e)
        })
    }

    /// A new content.
    pub(crate) fn writer(&self) -> Result<Writer<'_>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("new").join(number.to_string());
        let file =
            File::create_new(&path).map_err(Error::io(format!("create {}", path.display())))?;
        Ok(Writer {
            pool: self,
            path,
            file,
            hasher: Hasher::default(),
            size: 0,
            ends_in_hole: false,
            kept: false,
        })
    }

    /// A content that is in memory.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            let mut writer = self.writer()?;
            writer
                .write_all(bytes)
                .map_err(Error::io("store a file of the build context"))?;
            writer.keep()?;
        }
        Ok(digest)
    }

    /// Takes contents in as [`types::build::content_header`] has them.
    pub(crate) fn receive(&self, mut source: impl Read, cancel: &CancellationToken) -> Result<()> {
        let mut buffer = buffer();
        let mut header = [0_u8; HEADER];
        let broken = |e| Error::io("receive files of the build context")(e);
        loop {
            match source.read(&mut header[..1]) {
                Ok(0) => return Ok(()),
                Ok(_) => source.read_exact(&mut header[1..]).map_err(broken)?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(broken(e)),
            }
            let (digest, length) = parse_header(&header)
                .ok_or_else(|| Error::invalid("the header of a content is malformed"))?;
            let mut writer = self.writer()?;
            let mut part = (&mut source).take(length);
            let copied = copy(&mut part, &mut writer, &mut buffer, cancel)?;
            if copied != length {
                return Err(broken(io::ErrorKind::UnexpectedEof.into()));
            }
            let found = writer.digest();
            if found != digest {
                return Err(Error::invalid(format!(
                    "a file of the build context is not what it was announced as: its digest is \
                     {found}, expected {digest}"
                )));
            }
            writer.keep()?;
        }
    }

    /// Removes all contents but `keep`; answers their bytes.
    pub(crate) fn retain(&self, keep: &HashSet<Digest>) -> u64 {
        let gone: Vec<_> = {
            let mut known = self.known();
            let gone = known
                .iter()
                .filter(|d| !keep.contains(*d))
                .cloned()
                .collect();
            known.retain(|d| keep.contains(d));
            gone
        };
        let mut bytes = 0;
        for digest in gone {
            let path = self.path(&digest);
            let size = std::fs::metadata(&path).map_or(0, |m| m.len());
            match std::fs::remove_file(&path) {
                Ok(()) => bytes += size,
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove"),
            }
        }
        bytes
    }

    /// Bytes of all contents.
    pub(crate) fn size(&self) -> u64 {
        let known: Vec<_> = self.known().iter().cloned().collect();
        let sizes = known.iter().map(|d| std::fs::metadata(self.path(d)));
        sizes.flatten().map(|m| m.len()).sum()
    }
}

/// Room for [`copy`]: one for many files.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; BUFFER]
}

/// Why something of a client's could not be taken in: what it sent is damaged, or did not arrive.
pub(crate) fn received(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::invalid(format!("the build context is no whole archive: {error}"))
        }
        _ => Error::io("receive files of the build context")(error),
    }
}

/// Copies to the end, or until it is called off.
pub(crate) fn copy(
    source: &mut impl Read,
    sink: &mut impl Write,
    buffer: &mut [u8],
    cancel: &CancellationToken,
) -> Result<u64> {
    let mut copied = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let length = match source.read(buffer) {
            Ok(0) => return Ok(copied),
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(received(e)),
        };
        sink.write_all(&buffer[..length])
            .map_err(Error::io("store a file of the build context"))?;
        copied += length as u64;
    }
}

fn parse_header(header: &[u8; HEADER]) -> Option<(Digest, u64)> {
    let text = std::str::from_utf8(header).ok()?.strip_suffix('\n')?;
    let (digest, length) = text.split_at_checked(64)?;
    Some((
        Digest::from_hex(digest)?,
        u64::from_str_radix(length, 16).ok()?,
    ))
}

/// A content on its way into the pool. Dropped before it is kept, it leaves nothing.
pub(crate) struct Writer<'a> {
    pool: &'a Pool,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
    ends_in_hole: bool,
    kept: bool,
}

impl Writer<'_> {
    /// Of what was written until now.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Gives it its name.
    pub(crate) fn keep(mut self) -> Result<(Digest, u64)> {
        let digest = self.digest();
        let target = self.pool.path(&digest);
        let what = || format!("store {}", target.display());
        if self.ends_in_hole {
            self.file.set_len(self.size).map_err(Error::io(what()))?;
        }
        let mut renamed = std::fs::rename(&self.path, &target);
        if renamed
            .as_ref()
            .is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
        {
            if let Some(parent) = target.parent() {
                private_dir(parent)?;
            }
            renamed = std::fs::rename(&self.path, &target);
        }
        renamed.map_err(Error::io(what()))?;
        self.kept = true;
        self.pool.known().insert(digest.clone());
        Ok((digest, self.size))
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is all zeros becomes a hole.
        let hole = bytes.len() >= HOLE && bytes.iter().all(|b| *b == 0);
        let written = if hole {
            let end = self.size + bytes.len() as u64;
            self.file.seek(SeekFrom::Start(end))?;
            bytes.len()
        } else {
            self.file.write(bytes)?
        };
        self.ends_in_hole = hole;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use types::build::content_header;

    use super::*;

    #[test]
    fn what_is_announced_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let pool = Pool::open(dir.path().join("pool")).unwrap();
        let digest = Digest::of(b"text");
        let record = |digest: &Digest, text: &str| {
            let length = text.len() as u64;
            format!("{}{text}", content_header(digest.hex(), length)).into_bytes()
        };
        let receive = |bytes: &[u8]| pool.receive(bytes, &CancellationToken::new());
        for bad in [
            record(&digest, "other"),
            record(&digest, "text")[..HEADER + 2].to_vec(),
            b"garbage".to_vec(),
            vec![b'0'; HEADER],
        ] {
            assert!(receive(&bad).is_err());
            assert!(!pool.has(&digest));
        }
        let both = [record(&digest, "text"), record(&Digest::of(b""), "")].concat();
        receive(&both).unwrap();
        assert_eq!(std::fs::read(pool.path(&digest)).unwrap(), b"text");
        assert_eq!(
            std::fs::read_dir(dir.path().join("pool/new"))
                .unwrap()
                .count(),
            0
        );
        // The same boot: it is all there again.
        drop(pool);
        let pool = Pool::open(dir.path().join("pool")).unwrap();
        assert!(pool.has(&digest) && pool.has(&Digest::of(b"")));
        assert_eq!(pool.retain(&HashSet::from([Digest::of(b"")])), 4);
        assert!(!pool.has(&digest) && pool.file(&digest).is_err());
        // Another boot.
        std::fs::write(dir.path().join("pool/boot_id"), "other").unwrap();
        assert!(
            !Pool::open(dir.path().join("pool"))
                .unwrap()
                .has(&Digest::of(b""))
        );
    }
}
