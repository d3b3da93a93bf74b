//! Where memories of contexts are kept.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    hash::{hex, sha256},
    memory,
};

/// So many contexts are remembered; those that were not built for longest are forgotten.
const MOST: usize = 64;

/// The place of one context's memory; none where there is no home to keep it in.
#[derive(Debug, Clone)]
pub(super) struct Place(Option<PathBuf>);

impl Place {
    /// For the context at `root` as the daemon at `host` has it. `purpose` tells apart what one
    /// directory gives to different builds.
    pub(super) fn new(host: &str, root: &Path, purpose: &str) -> Self {
        let given = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        let cache = given("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| {
                // A home that is not there is not made: services are often given such a one.
                let home = given("HOME").map(PathBuf::from);
                let home = home.filter(|home| home.is_absolute() && home.is_dir());
                home.map(|home| home.join(".cache"))
            });
        let whole = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        let mut key = Vec::new();
        for part in [
            host.as_bytes(),
            whole.as_os_str().as_encoded_bytes(),
            purpose.as_bytes(),
        ] {
            key.extend(part);
            key.push(0);
        }
        let name = hex(&sha256(&key));
        Self(cache.map(|cache| cache.join("wharf/contexts").join(name)))
    }

    /// What is there; nothing where it cannot be read or is another user's.
    pub(super) fn read(&self) -> Vec<u8> {
        // A memory only saves time.
        let path = self.0.as_ref();
        path.and_then(|path| read(path).ok()).unwrap_or_default()
    }

    /// Puts `bytes` there, whole or not at all. Without a sync: a torn file is found by its sum.
    pub(super) fn write(&self, bytes: &[u8]) {
        if let Some(path) = &self.0 {
            // A memory only saves time.
            let _ = replace(path, bytes);
        }
    }

    /// Notes that it was used.
    pub(super) fn touch(&self) {
        let file = self.0.as_ref().and_then(|path| File::open(path).ok());
        if let Some(file) = file {
            let _ = file.set_modified(SystemTime::now());
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = File::options();
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path)?;
    let meta = file.metadata()?;
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    let mut bytes = Vec::new();
    if ours && meta.is_file() && meta.len() <= memory::LARGEST {
        bytes.reserve_exact(usize::try_from(meta.len()).unwrap_or(0));
        file.take(memory::LARGEST).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    forget(folder)
}

/// Removes the memories that are too many.
fn forget(folder: &Path) -> io::Result<()> {
    let mut all: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        all.push((entry.metadata()?.modified()?, entry.path()));
    }
    all.sort();
    let many = all.len().saturating_sub(MOST);
    for (_, path) in all.into_iter().take(many) {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn memories_are_the_users_alone_and_not_without_bound() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("wharf/contexts");
        for n in 0..=MOST {
            replace(&folder.join(format!("{n}")), b"x").unwrap();
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), MOST);
        let place = Place(Some(folder.join("mine")));
        place.write(b"some");
        assert_eq!(place.read(), b"some");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("mine"))), (0o700, 0o600));
        // A link is no memory of ours.
        std::os::unix::fs::symlink(folder.join("mine"), folder.join("link")).unwrap();
        assert!(Place(Some(folder.join("link"))).read().is_empty());
        assert!(Place(None).read().is_empty());
    }
}
