//! What is copied from this host to a container.

use std::{
    fs, io,
    io::Write,
    os::{
        fd::AsFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use archive::Packer;

use super::CHUNK;
use crate::error::{Error, Result};

/// A path on this host.
pub(super) struct Source {
    /// Where it is, links followed as far as that was asked for.
    pub(super) path: PathBuf,
    /// As the user wrote it.
    pub(super) told: String,
    /// The name that it has in a directory: the link's own, where one was followed.
    pub(super) name: Vec<u8>,
    /// Whether it is a directory.
    pub(super) is_dir: bool,
    /// What is in it, and not it.
    pub(super) contents: bool,
}

impl Source {
    pub(super) fn new(told: &str, follow: bool) -> Result<Self> {
        let failed = |e: &io::Error| Error::file("lstat", told, e);
        let mut path = PathBuf::from(told);
        let contents = told.ends_with("/.") || told == ".";
        if follow {
            path = fs::canonicalize(&path).map_err(|e| failed(&e))?;
        }
        let meta = fs::symlink_metadata(&path).map_err(|e| failed(&e))?;
        if !meta.is_dir() && told.ends_with('/') {
            return Err(Error::msg(format!("not a directory: {told}")));
        }
        let own = Path::new(told).file_name().map(ToOwned::to_owned);
        // `.` and `..` have none of their own.
        let name = match own {
            Some(name) => Some(name),
            None => fs::canonicalize(&path)
                .ok()
                .and_then(|path| path.file_name().map(ToOwned::to_owned)),
        };
        Ok(Self {
            path,
            told: told.to_owned(),
            name: name.map(OsStringExt::into_vec).unwrap_or_default(),
            is_dir: meta.is_dir(),
            contents,
        })
    }
}

/// Counts what goes through it.
struct Counted<W>(W, u64);

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1 += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes the archive to `out`; its bytes.
pub(super) fn pack(from: &Path, name: &[u8], out: impl Write) -> io::Result<u64> {
    let same = |uid, gid| (uid, gid);
    let out = io::BufWriter::with_capacity(CHUNK, Counted(out, 0));
    let mut packer = Packer::new(out, &same);
    if std::fs::symlink_metadata(from)?.is_dir() {
        let dir = std::fs::File::open(from)?;
        packer.dir(&dir.into(), name)?;
    } else {
        let parent = from.parent().filter(|p| !p.as_os_str().is_empty());
        let parent = std::fs::File::open(parent.unwrap_or(Path::new(".")))?;
        let own = from.file_name().unwrap_or_default();
        packer.tree(parent.as_fd(), own.as_bytes(), name)?;
    }
    let out = packer.finish()?.into_inner()?;
    Ok(out.1)
}
