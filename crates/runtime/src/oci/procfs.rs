//! The host's procfs, verified and held open.
//!
//! What is written to procfs decides about labels, limits and kernel parameters, so nobody may put
//! another file in its place (CVE-2019-16884, CVE-2025-52881). It is opened before anything of a
//! container's is mounted, must be the root of a procfs, and everything below is opened without
//! following links and without crossing a mount. One such descriptor does for the whole start: names
//! and parameters of namespaces are those of the process that opens a file.

use std::{
    ffi::CString,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, fstat, fstatfs, open, openat, openat2, readlinkat},
    io::Errno,
};

use super::{Context, Error, Result};

/// The magic number of a procfs, and the number of its root.
const PROC_MAGIC: u64 = 0x9fa0;
const PROC_ROOT: u64 = 1;

/// A procfs.
#[derive(Debug)]
pub struct Proc(OwnedFd);

impl Proc {
    /// The one at `/proc`.
    pub fn host() -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = open("/proc", flags, Mode::empty()).context(|| "open /proc")?;
        let (fs, root) = (
            fstatfs(&fd).context(|| "examine /proc")?,
            fstat(&fd).context(|| "examine /proc")?,
        );
        if fs.f_type as u64 != PROC_MAGIC || root.st_ino != PROC_ROOT {
            return Err(Error::Unsupported(
                "/proc is not a procfs: mount one there".to_owned(),
            ));
        }
        Ok(Self(fd))
    }

    /// Opens a file of the calling process, for writing.
    pub fn open_own(&self, name: &str) -> Result<OwnedFd> {
        let link =
            readlinkat(&self.0, c"thread-self", Vec::new()).context(|| "read /proc/thread-self")?;
        self.open(
            &format!("{}/{name}", link.to_string_lossy()),
            OFlags::WRONLY,
        )
    }

    /// The calling process's number where this procfs was mounted: the host's.
    pub fn own_pid(&self) -> Result<i32> {
        let link = readlinkat(&self.0, c"self", Vec::new()).context(|| "read /proc/self")?;
        let text = link.to_string_lossy();
        text.parse()
            .map_err(|_| Error::State(format!("/proc/self is {text:?}")))
    }

    /// Opens one of the calling process's namespaces. The last step is the kernel's own link.
    pub fn open_own_namespace(&self, name: &str) -> Result<OwnedFd> {
        let pid = self.own_pid()?;
        let ns = self.open(&format!("{pid}/ns"), OFlags::PATH | OFlags::DIRECTORY)?;
        openat(&ns, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .context(|| format!("open /proc/self/ns/{name}"))
    }

    /// Sets a kernel parameter, `net.ipv4.ip_forward`, in the caller's namespaces.
    pub fn write_sysctl(&self, name: &str, value: &str) -> Result<()> {
        // As sysctl(8): what comes first, dot or slash, parts the names, and the other is in them.
        let path = if name.find('/').unwrap_or(usize::MAX) < name.find('.').unwrap_or(usize::MAX) {
            name.to_owned()
        } else {
            name.chars()
                .map(|c| match c {
                    '.' => '/',
                    '/' => '.',
                    other => other,
                })
                .collect()
        };
        self.write(&format!("sys/{path}"), value.as_bytes())
            .map_err(|e| match e {
                Error::System { source, .. } => Error::System {
                    what: format!("linux.sysctl: write {value:?} to {name}"),
                    source,
                },
                other => other,
            })
    }

    /// Opens a file below, as said: nothing on the way may be a link or a mount.
    pub fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd> {
        let how = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let c_path = CString::new(path).map_err(|_| Error::State(format!("bad path {path:?}")))?;
        loop {
            match openat2(
                &self.0,
                &c_path,
                flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY,
                Mode::empty(),
                how,
            ) {
                Err(Errno::AGAIN) => {}
                other => return other.context(|| format!("open /proc/{path}")),
            }
        }
    }

    /// Opens and writes, all at once, as files of procfs want it.
    pub fn write(&self, path: &str, text: &[u8]) -> Result<()> {
        let fd = self.open(path, OFlags::WRONLY)?;
        put(&fd, text).context(|| {
            let text = String::from_utf8_lossy(text);
            format!("write {:?} to /proc/{path}", text.trim_end())
        })
    }

    /// As [`Proc::write`], to a file of the calling process.
    pub fn write_own(&self, name: &str, text: &[u8]) -> Result<()> {
        let fd = self.open_own(name)?;
        put(&fd, text).context(|| format!("write /proc/self/{name}"))
    }
}

impl AsFd for Proc {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn put(fd: &OwnedFd, text: &[u8]) -> rustix::io::Result<()> {
    match rustix::io::write(fd, text) {
        Ok(n) if n == text.len() => Ok(()),
        Ok(_) => Err(Errno::IO),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_and_no_links() {
        let proc = Proc::host().unwrap();
        let before = std::fs::read("/proc/self/oom_score_adj").unwrap();
        proc.write_own("oom_score_adj", &before).unwrap();
        assert!(proc.open("self/status", OFlags::RDONLY).is_err());
        assert!(proc.open("../etc/passwd", OFlags::RDONLY).is_err());
        let pid = std::process::id();
        assert!(
            proc.open(&format!("{pid}/root/etc/passwd"), OFlags::RDONLY)
                .is_err()
        );
        assert!(proc.open(&format!("{pid}/status"), OFlags::RDONLY).is_ok());
    }
}
