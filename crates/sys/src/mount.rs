//! The mount calls that rustix does not have.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// As `MOUNT_ATTR_IDMAP`: identities are mapped through the user namespace given.
const IDMAP: u64 = 0x0010_0000;

/// What `mount_setattr` changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'a> {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear. To change how access times are kept, all of them are cleared.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`; 0 leaves it.
    pub propagation: u64,
    /// The user namespace whose mappings the mount gets.
    pub userns: Option<BorrowedFd<'a>>,
    /// For all mounts below too.
    pub recursive: bool,
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Changes a mount's attributes; `ENOSYS` before Linux 5.12.
///
/// # Errors
/// The kernel's.
pub fn setattr(mount: BorrowedFd<'_>, change: Change<'_>) -> io::Result<()> {
    call(mount.as_raw_fd(), c"", libc::AT_EMPTY_PATH, change)
}

/// As [`setattr`], of the mount at `/`.
///
/// # Errors
/// The kernel's.
pub fn setattr_of_root(change: Change<'_>) -> io::Result<()> {
    call(libc::AT_FDCWD, c"/", 0, change)
}

fn call(dir: i32, path: &CStr, mut flags: i32, change: Change<'_>) -> io::Result<()> {
    if change.recursive {
        flags |= libc::AT_RECURSIVE;
    }
    let attr = MountAttr {
        attr_set: change.set | if change.userns.is_some() { IDMAP } else { 0 },
        attr_clr: change.clear,
        propagation: change.propagation,
        // Only looked at with IDMAP.
        userns_fd: change
            .userns
            .map_or(0, |fd| u64::try_from(fd.as_raw_fd()).unwrap_or(0)),
    };
    // SAFETY: path and attr live through the call, which reads them only; attr has the size told.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes a user namespace with these mappings (lines of `/proc/<pid>/uid_map`), held by its
/// descriptor alone. For a process with one thread.
///
/// # Errors
/// When the kernel makes none, or refuses the mappings.
pub fn user_namespace(uid_map: &str, gid_map: &str) -> io::Result<OwnedFd> {
    // SAFETY: as fork(2): a copy of this process with its own memory. The child calls nothing but
    // pause(2) and _exit(2), which are safe after a fork.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::CLONE_NEWUSER | libc::SIGCHLD,
            0,
            0,
            0,
            0,
        )
    };
    match pid {
        -1 => return Err(io::Error::last_os_error()),
        0 => loop {
            // SAFETY: takes no memory; the parent ends this process by SIGKILL, and if the parent
            // dies first, the kernel does.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() == 1 {
                    libc::_exit(0);
                }
                libc::pause();
            }
        },
        _ => {}
    }
    let made = (|| {
        let process = Path::new("/proc").join(pid.to_string());
        std::fs::write(process.join("uid_map"), uid_map)?;
        std::fs::write(process.join("gid_map"), gid_map)?;
        Ok(std::fs::File::open(process.join("ns/user"))?.into())
    })();
    // SAFETY: our own child, not waited for yet, so that the number is still its.
    unsafe {
        let pid = i32::try_from(pid).unwrap_or(0);
        if pid > 0 {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
    made
}

/// A place as `mountinfo` has it: blanks and the like are octal numbers there.
#[must_use]
pub fn unescaped(point: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(point.len());
    let mut rest = point.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after
            .get(..3)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}
