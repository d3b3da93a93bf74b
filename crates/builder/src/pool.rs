//! Contents of files by their digests: what contexts are made of.
//!
//! `pool/<first two digits>/<digest>`. Nothing in it is synced: it is good for the boot that it was
//! written in, and a pool of an earlier boot is emptied, which costs clients nothing but sending
//! their files once more.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{DirBuilder, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
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

/// What is known of a content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    pub size: u64,
    /// When it was used last, in seconds since 1970.
    pub used: i64,
}

/// Seconds since 1970.
pub(crate) fn seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// All contents.
#[derive(Debug)]
pub(crate) struct Pool {
    dir: PathBuf,
    known: Mutex<HashMap<Digest, Content>>,
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
        let mut known = HashMap::new();
        for part in std::fs::read_dir(&dir).map_err(Error::io(what()))? {
            let path = part.map_err(Error::io(what()))?.path();
            if path.is_dir() && !path.ends_with("new") {
                for file in std::fs::read_dir(&path).map_err(Error::io(what()))? {
                    let file = file.map_err(Error::io(what()))?;
                    let name = file.file_name();
                    let Some(digest) = name.to_str().and_then(Digest::from_hex) else {
                        continue;
                    };
                    let meta = file.metadata().map_err(Error::io(what()))?;
                    let modified = meta.modified().ok();
                    let since = modified.and_then(|t| t.duration_since(UNIX_EPOCH).ok());
                    let used = since.and_then(|t| i64::try_from(t.as_secs()).ok());
                    let content = Content {
                        size: meta.len(),
                        used: used.unwrap_or(0),
                    };
                    known.insert(digest, content);
                }
            }
        }
        Ok(Self {
            dir,
            known: Mutex::new(known),
            next: AtomicU64::new(0),
        })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Content>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has this content.
    #[cfg(test)]
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.known().contains_key(digest)
    }

    /// Notes that contents are used now; answers those that are not here.
    pub(crate) fn touch<'d>(&self, hexes: impl Iterator<Item = &'d str>) -> BTreeSet<&'d str> {
        let now = seconds();
        let mut known = self.known();
        let missing = hexes.filter(|hex| {
            let content = Digest::from_hex(hex).and_then(|d| known.get_mut(&d));
            content.map(|content| content.used = now).is_none()
        });
        missing.collect()
    }

    /// Where a content is.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(&digest.hex()[..2]).join(digest.hex())
    }

    /// Opens a content, which uses it.
    pub(crate) fn file(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        // Under the lock, as removing is: what was opened is not removed a moment later.
        let mut known = self.known();
        match File::open(path) {
            Ok(file) => {
                if let Some(content) = known.get_mut(digest) {
                    content.used = seconds();
                }
                Ok(file)
            }
            Err(e) => {
                known.remove(digest);
                Err(Error::io(format!(
                    "open a file of the build context ({digest}): it was removed meanwhile, build \
                     again"
                ))(e))
            }
        }
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
        if !self.touch(std::iter::once(digest.hex())).is_empty() {
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

    /// Everything that is here.
    pub(crate) fn contents(&self) -> Vec<(Digest, Content)> {
        let known = self.known();
        known.iter().map(|(d, c)| (d.clone(), *c)).collect()
    }

    /// Bytes of all contents.
    pub(crate) fn size(&self) -> u64 {
        self.known().values().map(|c| c.size).sum()
    }

    /// Removes a content unless it was used at `before` or later; whether it did.
    pub(crate) fn remove(&self, digest: &Digest, before: i64) -> bool {
        let path = self.path(digest);
        // Under the lock: whoever begins to use it, or brings it again, comes before or after.
        let mut known = self.known();
        if known.get(digest).is_none_or(|c| c.used >= before) {
            return false;
        }
        known.remove(digest);
        match std::fs::remove_file(&path) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot remove");
                false
            }
        }
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
        let content = Content {
            size: self.size,
            used: seconds(),
        };
        let pool = self.pool;
        let mut known = pool.known();
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
        known.insert(digest.clone(), content);
        drop(known);
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
        let other = Digest::of(b"other");
        let hexes = [digest.hex(), other.hex()];
        assert_eq!(pool.touch(hexes.into_iter()), BTreeSet::from([other.hex()]));
        let used = pool.contents().iter().map(|(_, c)| c.used).max().unwrap();
        assert!(!pool.remove(&digest, used) && pool.has(&digest));
        assert!(pool.remove(&digest, used + 1) && !pool.remove(&digest, used + 1));
        assert!(!pool.has(&digest) && pool.file(&digest).is_err());
        // What is brought again is there again.
        assert_eq!(pool.put(b"text").unwrap(), digest);
        assert!(pool.file(&digest).is_ok());
        // Another boot.
        std::fs::write(dir.path().join("pool/boot_id"), "other").unwrap();
        assert!(
            !Pool::open(dir.path().join("pool"))
                .unwrap()
                .has(&Digest::of(b""))
        );
    }
}
