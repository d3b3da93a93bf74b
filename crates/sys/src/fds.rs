//! Descriptors by their numbers: which of them were inherited, and closing many by few calls.

use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

/// Closes them: those with numbers in a row by one call.
pub fn close_all(mut fds: Vec<OwnedFd>) {
    fds.sort_by_key(AsRawFd::as_raw_fd);
    let mut fds = fds.into_iter().peekable();
    while let Some(first) = fds.next() {
        let mut run = vec![first];
        while let Some(next) = fds.next_if(|fd| Some(fd.as_raw_fd()) == after(&run)) {
            run.push(next);
        }
        if run.len() > 1 {
            close_run(run);
        }
    }
}

fn after(run: &[OwnedFd]) -> Option<i32> {
    run.last().map(|fd| fd.as_raw_fd() + 1)
}

/// The numbers follow one another. Kernels before 5.9 are told of each.
fn close_run(run: Vec<OwnedFd>) {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return;
    };
    let (first, last) = (first.as_raw_fd(), last.as_raw_fd());
    // SAFETY: every number from the first to the last is a descriptor that we own here, and that
    // is not used any more: below, either all are given up without being closed again, or the call
    // has closed none.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done == 0 {
        for fd in run {
            let _ = fd.into_raw_fd();
        }
    }
}

/// Has the other end of a socket read everything that was sent?
///
/// # Errors
/// When the kernel cannot tell, as of what is no socket.
pub fn all_is_read(socket: BorrowedFd<'_>) -> std::io::Result<bool> {
    let mut waiting: libc::c_int = 0;
    // SAFETY: the kernel writes one number, which lives through the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut waiting) };
    if done < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(waiting == 0)
}

/// Is there a descriptor of this number that came from whoever started this program? What a program
/// has opened itself, it has opened to be closed on exec, which cannot be true of one that came
/// through exec.
pub fn is_inherited(fd: RawFd) -> bool {
    // SAFETY: takes numbers; of one that is not open an error is said.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Closes those that were inherited, from `first` on: what a careless parent let us have, and waits
/// to be closed. Nothing of this process owns one of these, see [`is_inherited`].
pub fn close_inherited_from(first: RawFd) {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let open: Vec<RawFd> = entries
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open {
        if fd >= first && is_inherited(fd) {
            // SAFETY: takes a number; no owner in this process has it, since it was inherited.
            unsafe { libc::close(fd) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_closed_and_no_other() {
        let open = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let mut fds: Vec<OwnedFd> = (0..6).map(|_| open()).collect();
        let kept = fds.remove(3);
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        fds.push(writer);
        close_all(fds);
        rustix::fs::fstat(&kept).unwrap();
        // The other end is closed.
        assert_eq!(rustix::io::read(&reader, &mut [0_u8; 1]).unwrap(), 0);
    }

    #[test]
    fn read_or_not() {
        use std::io::{Read, Write};
        use std::os::fd::AsFd;
        let (mut a, mut b) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(all_is_read(a.as_fd()).unwrap());
        a.write_all(b"x").unwrap();
        assert!(!all_is_read(a.as_fd()).unwrap());
        b.read_exact(&mut [0]).unwrap();
        assert!(all_is_read(a.as_fd()).unwrap());
    }

    #[test]
    fn inherited_or_not() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_inherited(file.as_raw_fd()));
        let copy = rustix::io::dup(&file).unwrap();
        assert!(is_inherited(copy.as_raw_fd()));
        assert!(!is_inherited(-1));
    }
}
