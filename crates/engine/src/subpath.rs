//! Parts of volumes. What is in a volume is written by containers: a path in it is resolved by the
//! kernel, which does not leave the volume, and what was found is kept by its descriptor, so that
//! nobody can put something else in its place.

use std::{
    fs::File,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};

use crate::error::{Error, Result};

/// Opens `subpath` of the volume in `base` as a mount that is attached nowhere.
pub(crate) fn open(base: &Path, subpath: &str) -> Result<OwnedFd> {
    let root = File::open(base).map_err(Error::path("open the volume's directory", base))?;
    let found = openat2(
        &root,
        subpath,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    );
    let found = found.map_err(|e| match e {
        Errno::XDEV => Error::Invalid(format!(
            "path concatenation escapes the base directory, base: \"{}\", path: \"{subpath}\"",
            base.display()
        )),
        e => Error::Invalid(format!(
            "cannot access path \"{}\": {}",
            base.join(subpath).display(),
            if e == Errno::NOENT {
                "no such file or directory".to_owned()
            } else {
                std::io::Error::from(e).to_string()
            }
        )),
    })?;
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    sys::namespace::clone_mount(path.as_ref()).map_err(Error::path(
        "open the part of the volume",
        &base.join(subpath),
    ))
}
