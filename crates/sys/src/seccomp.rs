//! Installing a seccomp filter: classic BPF over what a system call was made with.

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
};

/// Take the filter into every thread of the process.
pub const FLAG_TSYNC: u32 = 1;
/// Everything but what is allowed goes to the audit log.
pub const FLAG_LOG: u32 = 1 << 1;
/// No mitigation of speculative store bypass because of this filter.
pub const FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// A descriptor by which another process decides about system calls.
pub const FLAG_NEW_LISTENER: u32 = 1 << 3;
/// A thread that cannot take the filter gives `ESRCH`: needed for TSYNC with a listener.
pub const FLAG_TSYNC_ESRCH: u32 = 1 << 4;
/// While another process decides, only a fatal signal interrupts the call.
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// The most instructions that the kernel takes in one filter.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// One instruction of classic BPF, as the kernel reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to leave out when the comparison holds.
    pub jt: u8,
    /// How many instructions to leave out when it does not.
    pub jf: u8,
    /// The number that is meant.
    pub k: u32,
}

/// Puts this process behind the filter, for good. With [`FLAG_NEW_LISTENER`] gives the listener.
///
/// The process must have `CAP_SYS_ADMIN` in its user namespace, or "no new privileges" set.
pub fn install(program: &[Instruction], flags: u32) -> io::Result<Option<OwnedFd>> {
    if program.is_empty() || program.len() > MAX_INSTRUCTIONS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // TSYNC and a listener both want the result; so the kernel asks to say which it is.
    let both = FLAG_TSYNC | FLAG_NEW_LISTENER;
    let flags = if flags & both == both {
        flags | FLAG_TSYNC_ESRCH
    } else {
        flags
    };
    let program = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `program` points to `len` instructions of the layout of `sock_filter` (checked below),
    // which the kernel only reads during the call.
    let got = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    match got {
        0.. if flags & FLAG_NEW_LISTENER != 0 => {
            // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(got as RawFd) }))
        }
        0 => Ok(None),
        // TSYNC without ESRCH: the number of the thread that could not follow.
        1.. => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Is there, under this number, a descriptor by which one decides about system calls?
pub fn is_listener(number: RawFd) -> bool {
    // What the kernel gives for "is this notification still waiting?", of one that never was.
    let id = 0u64;
    const ID_VALID: libc::c_ulong = 0x4008_2102;
    // SAFETY: the kernel reads a number. Other descriptors do not know this request.
    let done = unsafe { libc::ioctl(number, ID_VALID as _, &raw const id) };
    done != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT)
}

const _: () = assert!(
    size_of::<Instruction>() == size_of::<libc::sock_filter>()
        && align_of::<Instruction>() >= align_of::<libc::sock_filter>()
);
