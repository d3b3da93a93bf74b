//! New file systems: `proc`, `tmpfs`, `devpts` and whatever else the kernel has.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::options::{Attrs, Options};
use super::tree::Tree;

/// Makes one; it is attached nowhere yet.
pub(super) fn mount(
    fs: &str,
    source: Option<&str>,
    options: &Options,
    attrs: Attrs,
    context: Option<&str>,
) -> io::Result<Tree> {
    let made = rustix::mount::fsopen(fs, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|e| match e {
        Errno::NODEV => io::Error::new(
            io::ErrorKind::Unsupported,
            format!("this kernel has no file system {fs:?}"),
        ),
        e => e.into(),
    })?;
    let made = made.as_fd();
    let set = |key: &str, value: Option<&str>| {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(made, key, value),
            None => rustix::mount::fsconfig_set_flag(made, key),
        }
        .map_err(|e| about(e.into(), made, Some(key)))
    };
    if let Some(source) = source {
        set("source", Some(source))?;
    }
    for flag in &options.fs_flags {
        set(flag, None)?;
    }
    for (key, value) in &options.data {
        // An instance of its own is what every mount of devpts is since Linux 4.7.
        if fs == "devpts" && key == "newinstance" {
            continue;
        }
        set(key, value.as_deref())?;
    }
    if let Some(context) = context {
        set("context", Some(context))?;
    }
    rustix::mount::fsconfig_create(made).map_err(|e| about(e.into(), made, None))?;
    let attrs = MountAttrFlags::from_bits_retain(u32::try_from(attrs.set).unwrap_or_default());
    rustix::mount::fsmount(made, FsMountFlags::FSMOUNT_CLOEXEC, attrs)
        .map(Tree::new)
        .map_err(|e| about(e.into(), made, None))
}

/// The kernel's own words, which it keeps until they are read, with the reason.
fn about(error: io::Error, fs: BorrowedFd<'_>, key: Option<&str>) -> io::Error {
    let mut text = String::new();
    if let Some(key) = key {
        text = format!("option {key:?}: ");
    }
    let mut buffer = [0_u8; 1024];
    while let Ok(length @ 1..) = rustix::io::read(fs, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]);
        // "e " for errors comes first.
        text.push_str(line.trim().trim_start_matches("e "));
        text.push_str(": ");
    }
    if text.is_empty() {
        return error;
    }
    io::Error::new(error.kind(), format!("{text}{error}"))
}
