//! The shim's ends of a process's standard input and output.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Stdio,
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};

/// When this much input waits for a process, its clients' next input is not read.
const QUEUE: usize = 64 << 10;

/// What a process will have as its standard descriptors: input, output, error. None is `/dev/null`.
#[derive(Default)]
pub(crate) struct Ends(pub(crate) [Option<OwnedFd>; 3]);

impl Ends {
    /// For a program that is to be run.
    pub(crate) fn into_stdio(self) -> [Stdio; 3] {
        self.0.map(|end| end.map_or_else(Stdio::null, Stdio::from))
    }

    /// As descriptors.
    pub(crate) fn into_fds(self) -> io::Result<[OwnedFd; 3]> {
        let null = || -> io::Result<OwnedFd> {
            Ok(File::options()
                .read(true)
                .write(true)
                .open("/dev/null")?
                .into())
        };
        let [stdin, stdout, stderr] = self.0;
        Ok([
            stdin.map_or_else(null, Ok)?,
            stdout.map_or_else(null, Ok)?,
            stderr.map_or_else(null, Ok)?,
        ])
    }
}

/// The input of a process, and what of it was not taken yet.
#[derive(Default)]
pub(crate) struct Input {
    /// Absent for a terminal that is not there yet, and when nobody will read any more.
    fd: Option<OwnedFd>,
    queue: Vec<u8>,
    at: usize,
    /// To be closed as soon as the queue is empty.
    closing: bool,
    /// Nobody reads: what comes is thrown away.
    gone: bool,
}

impl Input {
    /// Input through a pipe; the other end is for the process.
    pub(crate) fn pipe() -> io::Result<(Self, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        nonblocking(&write)?;
        Ok((
            Self {
                fd: Some(write),
                ..Self::default()
            },
            read,
        ))
    }

    /// Nobody reads.
    pub(crate) fn nobody() -> Self {
        Self {
            gone: true,
            ..Self::default()
        }
    }

    /// The pipe or terminal.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// A terminal takes it from now on.
    pub(crate) fn connect(&mut self, terminal: OwnedFd) {
        if !self.gone {
            self.fd = Some(terminal);
            self.flush();
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.gone && !self.closing {
            self.queue.extend_from_slice(bytes);
            self.flush();
        }
    }

    /// Is there no room for more?
    pub(crate) fn full(&self) -> bool {
        self.queue.len() - self.at >= QUEUE
    }

    /// What to wait for, until it takes more.
    pub(crate) fn blocked_on(&self) -> Option<BorrowedFd<'_>> {
        self.fd
            .as_ref()
            .filter(|_| self.at < self.queue.len())
            .map(AsFd::as_fd)
    }

    /// No more input will come.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        self.flush();
    }

    /// The process has ended.
    pub(crate) fn abandon(&mut self) {
        *self = Self::nobody();
    }

    pub(crate) fn flush(&mut self) {
        let Some(fd) = &self.fd else { return };
        while self.at < self.queue.len() {
            match rustix::io::write(fd, &self.queue[self.at..]) {
                Ok(n) => self.at += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => return self.abandon(),
            }
        }
        self.queue = Vec::new();
        self.at = 0;
        if self.closing {
            self.abandon();
        }
    }
}

/// What can be read from a process's output just now.
pub(crate) enum Got {
    /// So many bytes.
    Some(usize),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
}

/// An output of a process.
pub(crate) struct Output {
    fd: OwnedFd,
}

impl Output {
    /// Output through a pipe; the other end is for the process.
    pub(crate) fn pipe() -> io::Result<(Self, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        nonblocking(&read)?;
        Ok((Self { fd: read }, write))
    }

    /// Output of a terminal.
    pub(crate) fn terminal(fd: OwnedFd) -> Self {
        Self { fd }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn read(&self, buf: &mut [u8]) -> Got {
        loop {
            match rustix::io::read(&self.fd, &mut *buf) {
                Ok(0) => return Got::End,
                Ok(n) => return Got::Some(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Got::Nothing,
                // EIO: the last one who had the terminal open is gone.
                Err(_) => return Got::End,
            }
        }
    }
}

/// Makes reads and writes return instead of waiting.
pub(crate) fn nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    Ok(fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
}

/// Takes the terminal that the runtime sent to `listener`. To be called when the runtime is done:
/// then it is there, or never will be.
pub(crate) fn receive_terminal(listener: &std::os::unix::net::UnixListener) -> io::Result<OwnedFd> {
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    let (mut name, mut fds) = ([0; 256], Vec::new());
    sys::scm::recv_with_fds(&stream, &mut name, &mut fds)?;
    let master = fds
        .pop()
        .ok_or_else(|| io::Error::other("the runtime sent no terminal"))?;
    nonblocking(&master)?;
    Ok(master)
}

/// Opens a file that is made anew for this process only.
pub(crate) fn fresh_file(name: &str) -> io::Result<File> {
    let _ = std::fs::remove_file(name);
    File::options().write(true).create_new(true).open(name)
}
