//! New file systems: `proc`, `tmpfs`, `devpts` and whatever else the kernel has.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::options::{Attrs, Options};
use super::tree::Tree;

/// Longest value that fsconfig(2) takes, with its final zero.
const STRING: usize = 256;

/// What is to be made.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) fs: &'a str,
    pub(super) source: Option<&'a str>,
    pub(super) options: &'a Options,
    pub(super) attrs: Attrs,
    /// The SELinux label of what is in it.
    pub(super) context: Option<&'a str>,
    /// Unless the options have a `mode`.
    pub(super) mode: Option<u32>,
}

/// Makes one; it is attached nowhere yet.
pub(super) fn mount(wanted: &Wanted<'_>) -> io::Result<Tree> {
    let Wanted {
        fs,
        source,
        options,
        attrs,
        context,
        mode,
    } = *wanted;
    let made = rustix::mount::fsopen(fs, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|e| match e {
        Errno::NODEV => io::Error::new(
            io::ErrorKind::Unsupported,
            format!("this kernel has no file system {fs:?}"),
        ),
        e => e.into(),
    })?;
    let context_fd = made;
    let made = context_fd.as_fd();
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
        if value.as_ref().is_some_and(|v| v.len() >= STRING) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("option {key:?} is longer than the kernel's {STRING} bytes"),
            ));
        }
        set(key, value.as_deref())?;
    }
    if let Some(mode) = mode
        && !options.data.iter().any(|(key, _)| key == "mode")
    {
        set("mode", Some(&format!("{mode:o}")))?;
    }
    if let Some(context) = context {
        set("context", Some(context))?;
    }
    rustix::mount::fsconfig_create(made).map_err(|e| about(e.into(), made, None))?;
    let attrs = MountAttrFlags::from_bits_retain(u32::try_from(attrs.set).unwrap_or_default());
    let mount = rustix::mount::fsmount(made, FsMountFlags::FSMOUNT_CLOEXEC, attrs)
        .map_err(|e| about(e.into(), made, None))?;
    Ok(Tree::new(mount).with_spare(context_fd))
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
