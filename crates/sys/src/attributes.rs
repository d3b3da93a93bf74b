//! What a process sets for itself and has no safe call elsewhere: keyring, personality, scheduler,
//! priority of input and output, the names of its host, its loopback link.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Gives this process a session keyring of its own called `name`, so that it sees no key of
/// whoever started it. Its user may search it.
///
/// # Errors
/// ENOSYS from a kernel without keyrings; EDQUOT when the user has too many.
pub fn new_keyring(name: &CStr) -> io::Result<()> {
    const JOIN_SESSION: libc::c_long = 1;
    const SETPERM: libc::c_long = 5;
    const DESCRIBE: libc::c_long = 6;
    const USER_SEARCH: u32 = 0x0008_0000;
    // SAFETY: the kernel reads the name.
    let key = check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION, name.as_ptr()) })?;
    let mut text = [0u8; 256];
    // SAFETY: the kernel writes at most as much as it is told there is room for.
    let length = check(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            DESCRIBE,
            key,
            text.as_mut_ptr(),
            text.len(),
        )
    })? as usize;
    // `type;uid;gid;permissions;description`
    let text = String::from_utf8_lossy(&text[..length.min(text.len())]).into_owned();
    let held = text
        .split(';')
        .nth(3)
        .and_then(|p| u32::from_str_radix(p, 16).ok())
        .ok_or_else(|| io::Error::other(format!("the keyring is described as {text:?}")))?;
    // SAFETY: takes numbers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, SETPERM, key, held | USER_SEARCH) })?;
    Ok(())
}

/// Sets the execution domain.
///
/// # Errors
/// When the kernel does not know it.
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: takes a number.
    check(unsafe { libc::syscall(libc::SYS_personality, persona) }).map(drop)
}

/// The scheduler's parameters, as the kernel's structure has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SchedAttr {
    /// Of this structure; set by [`set_scheduler`].
    pub size: u32,
    /// `SCHED_…`
    pub policy: u32,
    /// `SCHED_FLAG_…`
    pub flags: u64,
    /// For the ordinary policies.
    pub nice: i32,
    /// For the real-time policies.
    pub priority: u32,
    /// Nanoseconds, for the policy with deadlines.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// Sets this process's scheduler.
///
/// # Errors
/// When the kernel refuses: no permission, or values that do not fit together.
pub fn set_scheduler(mut attr: SchedAttr) -> io::Result<()> {
    attr.size = size_of::<SchedAttr>() as u32;
    // SAFETY: the kernel reads a structure of the size that it is told.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) }).map(drop)
}

/// Sets this process's priority for input and output: class (1 real-time, 2 best effort, 3 idle)
/// and level (0 is the highest).
///
/// # Errors
/// When the kernel refuses.
pub fn set_io_priority(class: u32, level: u32) -> io::Result<()> {
    const WHO_PROCESS: libc::c_long = 1;
    let value = class << 13 | level & 0x1fff;
    // SAFETY: takes numbers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) }).map(drop)
}

/// Sets the NIS domain's name of this namespace.
///
/// # Errors
/// When it is too long or we may not.
pub fn set_domain_name(name: &str) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as it is told.
    let done = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    check(done.into()).map(drop)
}

/// Sets `lo` of this network namespace up.
///
/// # Errors
/// When we may not.
pub fn loopback_up() -> io::Result<()> {
    // SAFETY: takes numbers.
    let fd = check(
        unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }.into(),
    )?;
    // SAFETY: a new descriptor of ours.
    let socket = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: a structure of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the kernel reads the structure, which is whole and ends its name with zero.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    check(done.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_them() {
        // A test has a process (nextest) or at least a thread of its own.
        set_personality(0).unwrap();
        set_io_priority(2, 4).unwrap();
        set_scheduler(SchedAttr::default()).unwrap();
        new_keyring(c"_ses.wharf-test").unwrap();
        assert!(set_io_priority(5, 0).is_err(), "there is no such class");
    }
}
