//! What is said of descriptors by their numbers.

use std::os::fd::RawFd;

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
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn inherited_or_not() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_inherited(file.as_raw_fd()));
        let copy = rustix::io::dup(&file).unwrap();
        assert!(is_inherited(copy.as_raw_fd()));
        assert!(!is_inherited(-1));
    }
}
