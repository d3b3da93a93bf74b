//! Making a process, in new namespaces if wanted, without another program.
//!
//! For programs with one thread: the child is a copy of the caller, goes on from the same place,
//! and may do all the caller may. No other thread could have held a lock the child would wait for.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::process::Pid;

/// The kernel's flag that puts the child into a cgroup of version 2.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Namespaces that one call can make, and no time namespace: its first process would fix the
/// offsets before they could be set.
pub const NEW_NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWCGROUP) as u64;

/// Who one is after [`clone`].
#[derive(Debug)]
pub enum Fork {
    /// The one that called.
    Parent {
        /// The new process, as the caller's process namespace counts.
        pid: Pid,
        /// The new process, whatever becomes of its number.
        pidfd: OwnedFd,
    },
    /// The new one.
    Child,
}

/// What is special about the new process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clone<'a> {
    /// Some of [`NEW_NAMESPACES`].
    pub namespaces: u64,
    /// It becomes the caller's sibling: its parent is the caller's.
    pub sibling: bool,
    /// It shares the table of descriptors: what one opens or closes, the other has opened or closed.
    /// Such a child must leave by [`exit_now`], without dropping anything.
    pub shares_files: bool,
    /// A directory of cgroup version 2 to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// Makes a copy of this process.
///
/// # Errors
/// When the kernel refuses; then there is no child.
pub fn clone(what: Clone<'_>) -> io::Result<Fork> {
    let mut pidfd: RawFd = -1;
    let mut flags = what.namespaces & NEW_NAMESPACES | libc::CLONE_PIDFD as u64;
    if what.sibling {
        flags |= libc::CLONE_PARENT as u64;
    }
    if what.shares_files {
        flags |= libc::CLONE_FILES as u64;
    }
    // SAFETY: a structure of numbers, for which zero is "not given".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    if let Some(cgroup) = what.cgroup {
        flags |= INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    args.flags = flags;
    args.pidfd = (&raw mut pidfd) as u64;
    // A sibling has the signal of its parent's child: ours.
    args.exit_signal = if what.sibling {
        0
    } else {
        libc::SIGCHLD as u64
    };
    // SAFETY: no memory is shared, so the child is a copy with a stack of its
    // own, as after fork. The kernel reads `args` and writes `pidfd`, which both outlive the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match pid {
        0 => Ok(Fork::Child),
        n if n < 0 => Err(io::Error::last_os_error()),
        n => {
            let pid = i32::try_from(n).ok().and_then(Pid::from_raw);
            Ok(Fork::Parent {
                pid: pid.ok_or_else(|| io::Error::other("the kernel gave no process number"))?,
                // SAFETY: the kernel made it for us.
                pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
            })
        }
    }
}

/// Ends this process at once: nothing is flushed, no destructor runs. For a copy that has nothing
/// more to do and must not do again what the original will.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return and touches nothing.
    unsafe { libc::_exit(code) }
}

/// Gives this process new namespaces where it is: those its children would otherwise share.
///
/// # Errors
/// When the kernel refuses.
pub fn unshare(namespaces: u64) -> io::Result<()> {
    let allowed = NEW_NAMESPACES | libc::CLONE_NEWTIME as u64;
    let flags = (namespaces & allowed) as libc::c_int;
    // SAFETY: takes a number, which never has the flag that would part descriptor tables.
    if unsafe { libc::unshare(flags) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Enters a namespace (`kind` is its flag), or with a process's descriptor all that `kind` names.
///
/// # Errors
/// When the kernel refuses, or the descriptor is of another kind.
pub fn join(fd: BorrowedFd<'_>, kind: u64) -> io::Result<()> {
    // SAFETY: takes numbers; namespaces of a process that has one thread.
    if unsafe { libc::setns(fd.as_raw_fd(), kind as libc::c_int) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitOptions, waitpid};

    use super::*;

    #[test]
    fn a_copy_in_namespaces_of_its_own() {
        let what = Clone {
            namespaces: libc::CLONE_NEWPID as u64,
            ..Clone::default()
        };
        match clone(what).unwrap() {
            Fork::Child => exit_now(rustix::process::getpid().as_raw_nonzero().get() + 6),
            Fork::Parent { pid, .. } => {
                let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
                assert_eq!(status.exit_status(), Some(7));
            }
        }
    }
}
