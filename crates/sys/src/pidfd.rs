//! Processes held by a descriptor: what is done meets that process or none.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

/// Sends a signal by number, which may be a real-time one, or 0, which only asks whether it is there.
///
/// # Errors
/// When the process is gone, or may not be sent one.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: takes numbers; no further information comes along.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd, unix::process::ExitStatusExt};

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn also_real_time_signals() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let fd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        send_signal(fd.as_fd(), 0).unwrap();
        send_signal(fd.as_fd(), 40).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(40));
        assert!(send_signal(fd.as_fd(), 0).is_err());
    }
}
