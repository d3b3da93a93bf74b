//! Network namespaces, held by descriptors alone.
//!
//! Nothing is bind-mounted: a namespace lives as long as a process in it or a descriptor to it,
//! so none is left behind when everything that used it was killed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::netlink::{self, Batch, LinkChange, Socket};

/// Makes a network namespace with its loopback link up.
///
/// # Errors
/// When the kernel refuses (no permission, or too many namespaces).
pub fn create() -> io::Result<OwnedFd> {
    in_thread(|| {
        // SAFETY: changes the network namespace of this short-lived thread only.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = current()?;
        loopback_up()?;
        Ok(fd)
    })?
}

/// Raises the loopback link of a namespace that was made elsewhere.
///
/// # Errors
/// When the namespace cannot be entered or the kernel refuses.
pub fn raise_loopback(netns: BorrowedFd<'_>) -> io::Result<()> {
    inside(netns, loopback_up)?
}

/// In the calling thread's namespace.
fn loopback_up() -> io::Result<()> {
    let mut batch = Batch::new();
    netlink::change_link(
        &mut batch,
        "lo",
        LinkChange {
            up: true,
            ..Default::default()
        },
    );
    Socket::route()
        .and_then(|mut s| s.all(&mut batch))
        .map_err(io::Error::other)
}

/// Runs `work` in a thread of its own inside the namespace and returns what it returns.
/// Sockets it opens stay in that namespace for good.
///
/// # Errors
/// When the namespace cannot be entered or no thread can be started.
pub fn inside<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    in_thread(|| {
        // SAFETY: changes the network namespace of this short-lived thread only.
        if unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(work())
    })?
}

/// The calling thread's network namespace.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn current() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// The network namespace of a process.
///
/// # Errors
/// When the process does not exist (any more) or may not be looked at.
pub fn of_process(pid: u32) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/{pid}/ns/net"))?.into())
}

/// Whether two descriptors name the same namespace.
///
/// # Errors
/// When a descriptor cannot be examined.
pub fn same(a: impl AsFd, b: impl AsFd) -> io::Result<bool> {
    let (a, b) = (rustix::fs::fstat(a)?, rustix::fs::fstat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

pub(crate) fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".into())
            .stack_size(256 * 1024)
            .spawn_scoped(scope, work)?;
        match thread.join() {
            Ok(value) => Ok(value),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_its_own_with_loopback_up() {
        let ns = create().unwrap();
        let here = current().unwrap();
        assert!(!same(&ns, &here).unwrap());
        assert!(same(inside(ns.as_fd(), current).unwrap().unwrap(), &ns).unwrap());
        // The calling thread stayed where it was.
        assert!(same(current().unwrap(), of_process(std::process::id()).unwrap()).unwrap());
        let socket = inside(ns.as_fd(), Socket::route).unwrap();
        let links = netlink::links(&mut socket.unwrap()).unwrap();
        let lo = links.iter().find(|l| l.name == "lo").unwrap();
        assert!(lo.up);
        assert!(inside(File::open("/dev/null").unwrap().as_fd(), || ()).is_err());
    }
}
