//! The content store: `blobs/sha256/<hex>`, each file complete and verified.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::{Digest, Hasher};
use crate::error::{Context, Error, Result};

/// Hands out names that nothing else uses, below a directory that is emptied at open.
#[derive(Debug)]
pub(crate) struct Temp {
    dir: PathBuf,
    next: AtomicU64,
}

impl Temp {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            next: AtomicU64::new(0),
        }
    }

    pub(crate) fn path(&self, kind: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.dir
            .join(format!("{kind}-{}-{number}", std::process::id()))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The files named by their digests.
#[derive(Debug)]
pub(crate) struct Blobs {
    dir: PathBuf,
}

impl Blobs {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.hex())
    }

    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    pub(crate) fn open(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).doing(|| format!("open {}", path.display()))
    }

    /// A manifest or configuration, its digest checked again.
    pub(crate) fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(digest)?
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .doing(|| format!("read blob {digest}"))?;
        let actual = Digest::of(&bytes);
        if actual != *digest {
            return Err(Error::Digest {
                what: format!("blob {digest} on disk"),
                expected: digest.to_string(),
                actual: actual.to_string(),
            });
        }
        Ok(bytes)
    }

    /// Makes content durable that is here already.
    pub(crate) fn sync_content(&self, digest: &Digest) -> Result<()> {
        let synced = self.open(digest)?.sync_data();
        synced.doing(|| format!("sync blob {digest}"))
    }

    /// Whether a blob still has the content that its name says.
    pub(crate) fn is_sound(&self, digest: &Digest) -> Result<bool> {
        let mut file = self.open(digest)?;
        let mut hasher = Hasher::default();
        let mut piece = vec![0; 1 << 16];
        loop {
            let read = file.read(&mut piece);
            match read.doing(|| format!("read blob {digest}"))? {
                0 => return Ok(hasher.finish() == *digest),
                n => hasher.update(piece.get(..n).unwrap_or_default()),
            }
        }
    }

    /// Takes in a small piece of content.
    pub(crate) fn put(&self, temp: &Temp, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            let mut writer = BlobWriter::new(temp)?;
            writer.write(bytes)?;
            writer.finish()?.publish(self)?;
        }
        Ok(digest)
    }

    /// Makes names durable that were given since the last time.
    pub(crate) fn sync(&self) -> Result<()> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .doing(|| format!("sync {}", self.dir.display()))
    }

    /// All digests that are stored.
    pub(crate) fn list(&self) -> Result<Vec<Digest>> {
        let mut all = Vec::new();
        for entry in
            std::fs::read_dir(&self.dir).doing(|| format!("list {}", self.dir.display()))?
        {
            let entry = entry.doing(|| format!("list {}", self.dir.display()))?;
            if let Some(digest) = entry.file_name().to_str().and_then(Digest::from_hex) {
                all.push(digest);
            }
        }
        Ok(all)
    }

    pub(crate) fn remove(&self, digest: &Digest) -> Result<()> {
        let path = self.path(digest);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("remove {}", path.display()), e))
            }
            _ => Ok(()),
        }
    }
}

/// Content on its way into the store. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    file: File,
    path: TempPath,
    hasher: HasherBox,
    size: u64,
}

/// Only to have `Debug` on what holds one.
struct HasherBox(Hasher);

impl std::fmt::Debug for HasherBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

/// A file or directory that goes away with its owner, unless it was renamed.
#[derive(Debug)]
pub(crate) struct TempPath(pub(crate) PathBuf);

impl Drop for TempPath {
    fn drop(&mut self) {
        let removed = match std::fs::symlink_metadata(&self.0) {
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(&self.0),
            Ok(_) => std::fs::remove_file(&self.0),
            Err(_) => Ok(()),
        };
        if let Err(error) = removed {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove temporary content");
        }
    }
}

impl BlobWriter {
    pub(crate) fn new(temp: &Temp) -> Result<Self> {
        let path = temp.path("blob");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .doing(|| format!("create {}", path.display()))?;
        Ok(Self {
            file,
            path: TempPath(path),
            hasher: HasherBox(Hasher::default()),
            size: 0,
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.0.update(bytes);
        self.size += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .doing(|| "store downloaded content".to_owned())
    }

    /// The digest of all that was written; not durable yet.
    pub(crate) fn finish(self) -> Result<Blob> {
        let digest = self.hasher.0.finish();
        Ok(Blob {
            file: self.file,
            path: self.path,
            digest,
            size: self.size,
        })
    }
}

/// Complete content that is not in the store yet.
#[derive(Debug)]
pub(crate) struct Blob {
    file: File,
    path: TempPath,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl Blob {
    /// Refuses content that is not what was announced.
    pub(crate) fn check(&self, what: &str, digest: &Digest, size: u64) -> Result<()> {
        if self.size != size {
            return Err(Error::Size {
                what: what.to_owned(),
                expected: size,
                actual: self.size,
            });
        }
        if self.digest != *digest {
            return Err(Error::Digest {
                what: what.to_owned(),
                expected: digest.to_string(),
                actual: self.digest.to_string(),
            });
        }
        Ok(())
    }

    /// Makes the content durable. Apart from [`Self::publish`] because it may take long.
    pub(crate) fn sync(&self) -> Result<()> {
        sys::failpoint!("image.blob.sync");
        self.file
            .sync_data()
            .doing(|| format!("sync blob {}", self.digest))
    }

    /// Syncs it and gives it its name.
    pub(crate) fn publish(self, blobs: &Blobs) -> Result<Digest> {
        self.sync()?;
        sys::failpoint!("image.blob.rename");
        std::fs::rename(&self.path.0, blobs.path(&self.digest))
            .doing(|| format!("store blob {}", self.digest))?;
        Ok(self.digest.clone())
    }

    /// [`Self::publish`] for content that is still read from, or named twice in an archive: the
    /// store gets a name for it, the temporary one stays until this is dropped.
    pub(crate) fn publish_copy(&self, blobs: &Blobs) -> Result<()> {
        self.sync()?;
        sys::failpoint!("image.blob.link");
        match std::fs::hard_link(&self.path.0, blobs.path(&self.digest)) {
            // What is there may come of a build that left it to the system when to write it.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                blobs.sync_content(&self.digest)
            }
            linked => linked.doing(|| format!("store blob {}", self.digest)),
        }
    }

    /// [`Self::publish`] without a sync: whoever relies on it after a power cut sees to that.
    pub(crate) fn publish_unsynced(self, blobs: &Blobs) -> Result<()> {
        sys::failpoint!("image.blob.rename");
        std::fs::rename(&self.path.0, blobs.path(&self.digest))
            .doing(|| format!("store blob {}", self.digest))
    }

    /// Where it is, as long as this lives.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.0.clone()
    }

    /// Reads it from the beginning.
    pub(crate) fn reader(&self) -> Result<File> {
        File::open(&self.path.0).doing(|| format!("read {}", self.path.0.display()))
    }
}
