//! A process that does nothing, to hold something open that needs a process.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

/// The process. It ends with this value, or with the thread that started it.
#[derive(Debug)]
pub struct Placeholder {
    pid: Pid,
    // In another pid namespace the number would be somebody else's; this is not.
    fd: OwnedFd,
}

impl Placeholder {
    /// Starts it. It keeps no descriptor of ours.
    pub fn start() -> io::Result<Self> {
        let parent = rustix::process::getpid();
        // SAFETY: the child makes only async-signal-safe calls, and never returns from here.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        if pid == 0 {
            // SAFETY: as above; the numbers are those of the system calls.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::syscall(libc::SYS_close_range, 0u32, u32::MAX, 0u32);
                // The parent may have ended before it was asked to tell.
                if libc::getppid() != parent.as_raw_nonzero().get() {
                    libc::_exit(0);
                }
                loop {
                    libc::pause();
                }
            }
        }
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process"))?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(Self { pid, fd }),
            Err(e) => {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
                Err(e.into())
            }
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }
}

impl AsFd for Placeholder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        // A copy of this value in a forked child is not the parent, and waits for nothing.
        if pidfd_send_signal(&self.fd, Signal::KILL).is_ok() {
            let _ = waitid(WaitId::PidFd(self.fd.as_fd()), WaitIdOptions::EXITED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_with_its_value() {
        let p = Placeholder::start().unwrap();
        let proc = std::path::PathBuf::from(format!("/proc/{}", p.pid()));
        assert!(proc.exists());
        drop(p);
        assert!(!proc.exists());
    }
}
