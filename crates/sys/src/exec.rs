//! Becoming another program, and what must be in order just before.

use std::{
    ffi::{CStr, CString, c_char},
    io,
    os::fd::RawFd,
    ptr,
};

/// Becomes the program at `path`; returns only the reason why not.
pub fn execve(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let list = |strings: &[CString]| -> Vec<*const c_char> {
        strings
            .iter()
            .map(|s| s.as_ptr())
            .chain([ptr::null()])
            .collect()
    };
    let (args, env) = (list(args), list(env));
    // SAFETY: both lists end with null and point to strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Lets every descriptor from `first` on be closed when another program begins.
///
/// # Errors
/// Only from kernels before 5.11.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    range(first, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from `first` on except `keep`, which must be sorted.
///
/// What in this process owned one of them must not be used any more: this is for the last moments
/// before [`execve`].
///
/// # Errors
/// When the kernel refuses.
pub fn close_from_except(first: RawFd, keep: &[RawFd]) -> io::Result<()> {
    let mut from = first;
    for &fd in keep.iter().filter(|fd| **fd >= first) {
        if from < fd {
            range(from, fd - 1, 0)?;
        }
        from = fd + 1;
    }
    range(from, RawFd::MAX, 0)
}

fn range(first: RawFd, last: RawFd, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: takes numbers; that nobody uses the descriptors any more is the callers' promise, and
    // a number that is no longer open is never undefined behaviour for the owners' destructors here:
    // the process is about to become another program.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if done == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // 5.10 knows no flags for this call.
    if flags == libc::CLOSE_RANGE_CLOEXEC && error.raw_os_error() == Some(libc::EINVAL) {
        return each(first);
    }
    Err(error)
}

fn each(first: RawFd) -> io::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = limit.current.unwrap_or(1 << 20).min(1 << 20);
    for fd in first..RawFd::try_from(limit).unwrap_or(RawFd::MAX) {
        // SAFETY: takes numbers; a descriptor that is not open is refused.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// The signals that this process ignores, as a set of bits, the lowest being signal 1. Handlers end
/// with the program, but what is ignored stays so.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn ignored_signals() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let set = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .ok_or_else(|| io::Error::other("/proc/self/status does not tell what is ignored"))
}

/// Puts the signals of a set back to their default actions and blocks none: what the new program
/// expects, and what the standard library has changed (it ignores SIGPIPE).
///
/// # Errors
/// Not to be expected.
pub fn reset_signals(ignored: u64) -> io::Result<()> {
    for signal in (1..=64).filter(|n| ignored & 1 << (n - 1) != 0) {
        crate::process::reset(signal);
    }
    crate::process::unblock_all()
}
