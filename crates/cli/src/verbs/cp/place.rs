//! Where what comes from a container goes on this host, by docker's rules.

use std::{
    io,
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt, fs::FileTypeExt},
    },
    path::{Path, PathBuf},
};

use archive::Placer;

use super::{CHUNK, Stat};
use crate::{
    error::{Error, Result},
    format::quote,
};

/// Docker bears so many links in a row.
const MAX_LINKS: usize = 10;

/// Where the links at `path` end: what is copied goes to there, and the link stays.
fn ends(path: &Path) -> Result<PathBuf> {
    let mut end = path.to_owned();
    for _ in 0..=MAX_LINKS {
        let Ok(target) = std::fs::read_link(&end) else {
            return Ok(end);
        };
        end = end.parent().unwrap_or(Path::new("")).join(target);
    }
    let path = path.display();
    Err(Error::msg(format!("too many symlinks in {path}")))
}

/// What can be seen to be wrong before anything is asked of the daemon.
pub(super) fn check(destination: &str) -> Result {
    let path = Path::new(destination);
    let above = path.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(above) = above
        && !above.exists()
    {
        let above = quote(&above.to_string_lossy());
        return Err(Error::msg(format!(
            "invalid output path: directory {above} does not exist"
        )));
    }
    let kind = std::fs::metadata(path).map(|meta| meta.file_type());
    if kind.is_ok_and(|kind| kind.is_char_device() || kind.is_block_device()) {
        return Err(Error::msg(format!(
            "invalid output path: {} must be a directory or a regular file: got a device",
            quote(destination)
        )));
    }
    Ok(())
}

/// Where an archive from a container goes on this host.
pub(super) struct Place {
    /// A directory that is there.
    dir: PathBuf,
    /// The archive's first name becomes this one; empty leaves only what is below it.
    name: Vec<u8>,
}

impl Place {
    /// By docker's rules: into a directory that is there, or under the destination's own name.
    pub(super) fn new(destination: &str, stat: &Stat, source: &str) -> Result<Self> {
        let path = ends(Path::new(destination))?;
        let path = path.as_path();
        let contents = source.ends_with("/.");
        let slash = destination.ends_with('/') || destination.ends_with("/.");
        let now = std::fs::metadata(path);
        if now.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            let name = if contents || stat.name == "/" {
                Vec::new()
            } else {
                stat.name.clone().into_bytes()
            };
            return Ok(Self {
                dir: path.to_owned(),
                name,
            });
        }
        if now.is_ok() && (stat.is_dir() || slash) {
            return Err(Error::msg(if stat.is_dir() {
                "cannot copy directory".to_owned()
            } else {
                format!("destination \"{destination}\" is not a directory")
            }));
        }
        if slash && !stat.is_dir() {
            return Err(Error::msg("no such directory"));
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        let dir = parent.unwrap_or(Path::new(".")).to_owned();
        let name = path.file_name().map(|n| n.as_bytes().to_vec());
        let missing = || {
            Error::msg(format!(
                "invalid output path: directory {} does not exist",
                dir.display()
            ))
        };
        if !dir.is_dir() {
            return Err(missing());
        }
        Ok(Self {
            name: name.ok_or_else(missing)?,
            dir,
        })
    }

    pub(super) fn fill(self, source: impl io::Read, keep_owners: bool) -> io::Result<()> {
        let root = std::fs::File::open(&self.dir)?;
        let rename = |path: &[u8]| {
            // The first part is the source's own name.
            let path = path.strip_prefix(b"/").unwrap_or(path);
            let rest = match path.iter().position(|b| *b == b'/') {
                Some(at) => &path[at + 1..],
                None => b"".as_slice(),
            };
            Some(match (self.name.is_empty(), rest.is_empty()) {
                (true, true) => b".".to_vec(),
                (true, false) => rest.to_vec(),
                (false, true) => self.name.clone(),
                (false, false) => [self.name.as_slice(), b"/", rest].concat(),
            })
        };
        let same = |uid, gid| (uid, gid);
        let placer = Placer {
            root: root.as_fd(),
            dest: Vec::new(),
            keep_kinds: true,
            ids: keep_owners.then_some(&same),
            rename: Some(&rename),
            whole: false,
        };
        placer.place(io::BufReader::with_capacity(CHUNK, source))?;
        Ok(())
    }
}
