//! What a process does to itself and to its children.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use rustix::process::{Pid, WaitOptions, WaitStatus};

/// Signals that tell of a fault in the program itself.
const FAULTS: [i32; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// Gives a signal its default action. Past the C library, which does not let the two signals be
/// touched that it uses itself; we have one thread and so does it.
pub(crate) fn reset(signal: i32) {
    // Handler (the default is 0), flags, restorer and mask, all zero.
    let default = [0u64; 4];
    // SAFETY: the kernel reads the action, as large as the structure of 64-bit machines, and
    // writes nothing. SIGKILL and SIGSTOP are refused, which is right.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            default.as_ptr(),
            ptr::null_mut::<u64>(),
            size_of::<u64>(),
        )
    };
}

/// Signals that become readable instead of doing something.
#[derive(Debug)]
pub struct SignalFd {
    fd: OwnedFd,
}

impl SignalFd {
    /// Blocks every signal that can be blocked, except those that tell of a fault in this very
    /// program, and makes them readable here. Children inherit what is blocked: start them with
    /// [`die_with_parent`] or [`spawn_foreground`], which unblock.
    ///
    /// What whoever started us has ignored gets its default action again: children would inherit
    /// that, and would be lost to us if it is SIGCHLD.
    ///
    /// To be called while the process has one thread.
    pub fn block_all() -> io::Result<Self> {
        for signal in 1..=64 {
            // The faults' handlers are the standard library's, and it ignores SIGPIPE (and stops
            // doing so for children).
            if !FAULTS.contains(&signal) && signal != libc::SIGPIPE {
                reset(signal);
            }
        }
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises the set, whose memory is ours; the others take the
        // initialised set, and signal numbers that exist.
        let fd = unsafe {
            libc::sigfillset(set.as_mut_ptr());
            for fault in FAULTS {
                libc::sigdelset(set.as_mut_ptr(), fault);
            }
            if libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor, which nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// The number of the next signal that came, if one did.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.fd, &mut info) {
            // `ssi_signo` is the first field.
            Ok(n) if n == info.len() => Ok(Some(i32::from_ne_bytes([
                info[0], info[1], info[2], info[3],
            ]))),
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

impl std::os::fd::AsFd for SignalFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes standard input away as a socket or file of its own; `/dev/null` takes its place.
pub fn take_stdin() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(taken)
}

/// Closes every descriptor from 3 on but `keep`: what a careless parent let us inherit.
///
/// To be called first of all: descriptors that something in this process already owns would be
/// pulled away from under it.
pub fn close_inherited(keep: &OwnedFd) -> io::Result<()> {
    let keep = keep.as_raw_fd();
    let close = |from: RawFd, to: RawFd| {
        if from > to {
            return Ok(());
        }
        // SAFETY: takes numbers only. That nothing owns these descriptors is the caller's promise;
        // the standard library and our own types never assume a number stays open.
        if unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    close(3, keep - 1)?;
    close(keep + 1, RawFd::MAX)
}

/// Gives this process a mount namespace of its own, in which mounts of the host still appear but
/// out of which nothing propagates.
pub fn private_mounts() -> io::Result<()> {
    // SAFETY: unshares mounts only, no descriptor table.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::DOWNSTREAM
            | rustix::mount::MountPropagationFlags::REC,
    )?;
    Ok(())
}

/// The exit code as shells and Docker count it; `None` while the process is only stopped.
pub fn exit_code(status: WaitStatus) -> Option<i32> {
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|s| 128 + s))
}

/// A child that has ended, and its exit code; `None` if there is none (now).
pub fn reap() -> Option<(Pid, i32)> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if let Some(code) = exit_code(status) {
                    return Some((pid, code));
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Sends a signal by number, which may be a real-time one. `pid` must be a child that was not
/// reaped yet, or the number may by now be someone else's.
pub fn kill(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    if unsafe { libc::kill(pid.as_raw_nonzero().get(), signal) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets go of the pages of this program's code and constants, which stay in the file they came from:
/// what runs next is mapped again, page by page. A program that mostly waits shrinks to what its
/// waiting needs.
pub fn forget_code() {
    // SAFETY: the callback has the type that is asked for and is not kept.
    unsafe { libc::dl_iterate_phdr(Some(forget_object), ptr::null_mut()) };
}

/// Called for each object; only the first, the program itself, is of interest.
unsafe extern "C" fn forget_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the C library passes a valid description, whose headers are in mapped memory.
    let (base, headers) = unsafe {
        let info = &*info;
        let count = usize::from(info.dlpi_phnum);
        (
            info.dlpi_addr,
            std::slice::from_raw_parts(info.dlpi_phdr, count),
        )
    };
    let page = rustix::param::page_size() as u64;
    for header in headers {
        // What may be written to has, or may have, content that is in no file.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        // Only whole pages: an edge may belong to a neighbour that is written to.
        let start = (base + header.p_vaddr).next_multiple_of(page);
        let end = (base + header.p_vaddr + header.p_memsz) / page * page;
        if start < end {
            // SAFETY: these pages are a private mapping of a file in which nothing was ever
            // written, so mapping them anew gives the same bytes.
            unsafe {
                libc::madvise(
                    start as *mut libc::c_void,
                    (end - start) as usize,
                    libc::MADV_DONTNEED,
                )
            };
        }
    }
    1
}

/// Keeps the allocator from holding on to large blocks: they are mapped and unmapped one by one.
pub fn frugal_heap() {
    // SAFETY: sets two parameters of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 10);
        libc::mallopt(libc::M_TOP_PAD, 4 << 10);
    }
}

/// Starts `command` in a process group of its own which, if standard input is a terminal, becomes
/// its foreground group before the program begins. Nothing is blocked for it.
pub fn spawn_foreground(command: &mut std::process::Command) -> io::Result<std::process::Child> {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    let to_front = || {
        // SAFETY: takes numbers only, and is async-signal-safe. Without a terminal it fails, and
        // there is nothing to do. SIGTTOU, which would stop us, is still blocked if it was before.
        unsafe { libc::tcsetpgrp(0, libc::getpid()) };
        unblock_all()
    };
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe calls.
    unsafe { command.pre_exec(to_front) };
    command.spawn()
}

/// Makes the child that `command` starts die (SIGKILL) when this thread does: without it, a helper
/// whose master was killed goes on building what nobody knows of. Nothing is blocked for it.
pub fn die_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let parent = std::process::id();
    let arm = move || {
        // SAFETY: takes numbers only, and is async-signal-safe, as getppid is.
        let gone = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0
                || libc::getppid() as u32 != parent
        };
        if gone {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        } else {
            unblock_all()
        }
    };
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe calls.
    unsafe { command.pre_exec(arm) };
}

/// Unblocks all signals. Async-signal-safe.
pub(crate) fn unblock_all() -> io::Result<()> {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set, whose memory is ours, before sigprocmask reads it.
    let result = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut())
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    // It is waited for, by the function under test's sibling.
    #[allow(clippy::zombie_processes)]
    fn exit_codes() {
        for (script, expected) in [("exit 7", 7), ("kill -9 $$", 137)] {
            let child = std::process::Command::new("/bin/sh")
                .args(["-c", script])
                .spawn()
                .unwrap();
            let pid = Pid::from_child(&child);
            let (_, status) = rustix::process::waitpid(Some(pid), WaitOptions::empty())
                .unwrap()
                .unwrap();
            assert_eq!(exit_code(status), Some(expected));
        }
    }

    #[test]
    fn code_that_was_forgotten_still_runs() {
        static CONSTANT: [u64; 2048] = [7; 2048];
        forget_code();
        assert_eq!(CONSTANT.iter().sum::<u64>(), 7 * 2048);
        forget_code();
        assert_eq!(format!("{:?}", Some(1.5)), "Some(1.5)");
    }

    #[test]
    fn foreground_without_a_terminal_just_runs() {
        let mut command = std::process::Command::new("/bin/sh");
        command
            .args(["-c", "exit 3"])
            .stdin(std::process::Stdio::null());
        let status = spawn_foreground(&mut command).unwrap().wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(3), None));
    }
}
