//! Programs that are run from memory: embedded in this binary, put once into a sealed memory file.
//!
//! No file on disk can be replaced under us, and every process made from the same [`Program`]
//! shares its pages.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// A program in a sealed memory file.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
}

impl Program {
    /// Copies `bytes`, an executable, into a sealed memory file called `name` (what `/proc` shows).
    pub fn new(name: &str, bytes: &[u8]) -> io::Result<Self> {
        let name = CString::new(name)?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels from 6.3 may forbid memory files to be executable unless asked; older ones do not
        // know the flag.
        let fd = match memfd_create(&name, flags | MemfdFlags::EXEC) {
            Err(rustix::io::Errno::INVAL) => memfd_create(&name, flags)?,
            other => other?,
        };
        let mut at = 0;
        while at < bytes.len() {
            at += rustix::io::write(&fd, &bytes[at..])?;
        }
        fcntl_add_seals(
            &fd,
            SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
        )?;
        Ok(Self { fd })
    }

    /// Where this process, or a child before its own program begins, can execute it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    /// The sealed file, to be mounted or passed on.
    pub fn as_file(&self) -> &OwnedFd {
        &self.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_cannot_be_changed() {
        let bytes = std::fs::read("/bin/true").unwrap();
        let program = Program::new("wharf-test", &bytes).unwrap();
        assert!(
            std::process::Command::new(program.path())
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(
            rustix::io::write(&program.fd, b"x"),
            Err(rustix::io::Errno::PERM)
        );
    }
}
