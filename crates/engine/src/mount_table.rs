//! The kernel's list of mounts. Reading it asks no file system, so it answers also where a server
//! does not answer any more.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// The list as it is.
pub(crate) fn read() -> Result<String> {
    let bytes = fs::read("/proc/self/mountinfo").map_err(Error::io("read /proc/self/mountinfo"))?;
    // Odd bytes are in names of places that are not ours.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where something is mounted.
pub(crate) fn points() -> Result<Vec<PathBuf>> {
    let table = read()?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points.map(unescaped).collect())
}

/// `path` as the list has it: without links on the way. What is mounted there is not looked at.
/// None where there is nothing on the way.
pub(crate) fn as_listed(path: &Path) -> Result<Option<PathBuf>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Some(path.to_owned()));
    };
    match fs::canonicalize(parent) {
        Ok(parent) => Ok(Some(parent.join(name))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::path("look at", parent)(e)),
    }
}

/// A place of the list as it is.
pub(crate) fn unescaped(text: &str) -> PathBuf {
    OsString::from_vec(sys::mount::unescaped(text)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_as_the_kernel_has_them() {
        assert_eq!(unescaped("/a\\040b\\134c\\"), Path::new("/a b\\c\\"));
        assert!(points().unwrap().contains(&PathBuf::from("/proc")));
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        let real = fs::canonicalize(dir.path().join("real")).unwrap();
        let listed = as_listed(&dir.path().join("link/there")).unwrap();
        assert_eq!(listed, Some(real.join("there")));
        assert_eq!(as_listed(&dir.path().join("no/there")).unwrap(), None);
    }
}
