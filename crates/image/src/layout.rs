//! The store's directories.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::blob::{Temp, TempPath};
use crate::error::{Context, Result};

/// A directory for root alone: a layer may have setuid programs that no user of the host may
/// reach (CVE-2021-41091).
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    let what = || format!("create {}", path.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .doing(what)?;
    // `empty` shows in containers as their root directory.
    let mode = if path.ends_with("empty") {
        0o755
    } else {
        0o700
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).doing(what)
}

/// What a crash left in the temporary directory, under names that nothing new can get.
pub(crate) fn set_aside_leftovers(temp: &Temp) -> Result<Vec<TempPath>> {
    let what = || format!("list {}", temp.dir().display());
    let names: Vec<_> = std::fs::read_dir(temp.dir())
        .doing(what)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .doing(what)?;
    let mut leftovers = Vec::new();
    for (number, path) in names.into_iter().enumerate() {
        let aside = (0_u32..)
            .map(|round| temp.dir().join(format!("old-{round}-{number}")))
            .find(|aside| *aside == path || !aside.exists())
            .unwrap_or_else(|| path.clone());
        std::fs::rename(&path, &aside).doing(|| format!("set {} aside", path.display()))?;
        leftovers.push(TempPath(aside));
    }
    Ok(leftovers)
}
