//! Terminals.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat, openat2},
    process::ioctl_tiocsctty,
    pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
    termios::{Winsize, tcsetwinsize},
};

use super::{Context, Error, Result};

const DEVPTS_MAGIC: u64 = 0x1cd1;

/// A pair of terminal ends.
#[derive(Debug)]
pub struct Pty {
    /// Whose holder is the terminal.
    pub master: OwnedFd,
    /// What the process has.
    pub slave: OwnedFd,
}

/// Makes a terminal in the container whose mounts we see, but whose files may be anything: only a
/// real `ptmx` of a real devpts will do (CVE-2025-52565).
pub fn open_in_container() -> Result<Pty> {
    let what = || "open a terminal at the container's /dev/pts";
    let pts = openat2(
        CWD,
        "/dev/pts",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
    .context(what)?;
    if fstatfs(&pts).context(what)?.f_type as u64 != DEVPTS_MAGIC {
        return Err(Error::State(
            "the container's /dev/pts is no devpts: it has no terminals".to_owned(),
        ));
    }
    open_at(&pts)
}

/// Makes a terminal in the devpts that is open at `pts`.
pub fn open_at(pts: impl AsFd) -> Result<Pty> {
    let what = || "open a terminal at the container's /dev/pts";
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let master = openat(pts, "ptmx", flags, Mode::empty()).context(what)?;
    let stat = fstat(&master).context(what)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
        || stat.st_rdev != rustix::fs::makedev(5, 2)
    {
        return Err(Error::State(
            "the container's /dev/pts/ptmx is not the device it should be".to_owned(),
        ));
    }
    unlockpt(&master).context(what)?;
    // By the kernel, from the master: no name is looked up.
    let slave = ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )
    .context(what)?;
    Ok(Pty { master, slave })
}

/// Sets the size, if one is given, and sends the master to whoever holds the terminal.
pub fn hand_over(pty: &Pty, socket: &OwnedFd, size: Option<(u16, u16)>) -> Result<()> {
    if let Some((rows, columns)) = size {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&pty.master, size).context(|| "set process.consoleSize")?;
    }
    // The name is only for people; runc sends its own idea of it, too.
    sys::scm::send_with_fds(socket, b"/dev/ptmx", &[pty.master.as_fd()])
        .context(|| "send the terminal to the console socket")
}

/// Makes it this process's controlling terminal and its standard input, output and error.
pub fn take(pty: &Pty) -> Result<()> {
    ioctl_tiocsctty(&pty.slave).context(|| "set the controlling terminal")?;
    dup2_stdin(&pty.slave)
        .and_then(|()| dup2_stdout(&pty.slave))
        .and_then(|()| dup2_stderr(&pty.slave))
        .context(|| "set standard input and output")
}

/// Connects to a console socket.
pub fn connect(path: &Path) -> Result<OwnedFd> {
    std::os::unix::net::UnixStream::connect(path)
        .map(OwnedFd::from)
        .context(|| format!("connect to the console socket {}", path.display()))
}
