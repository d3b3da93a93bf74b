//! Waiting for a process as if it were this one: signals go on to it, the terminal is passed
//! through, and its exit code becomes ours.

use std::{
    io::IsTerminal,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    process::Pid,
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};
use sys::process::SignalFd;

use crate::oci::{Context, Error, Result};

const SIGCHLD: i32 = 17;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;

/// Both ends of a socket through which a terminal will come, if there will be one.
pub(super) fn console(terminal: bool) -> Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    if !terminal {
        return Ok((None, None));
    }
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .context(|| "socketpair")?;
    Ok((Some(ours), Some(theirs)))
}

/// Ready to wait.
pub(super) struct Foreground {
    signals: SignalFd,
    console: Option<OwnedFd>,
}

impl Foreground {
    /// To be called before the process is made: a signal that comes in between is then not lost.
    pub(super) fn prepare(console: Option<OwnedFd>) -> Result<Self> {
        let signals = SignalFd::block_all().context(|| "block signals")?;
        Ok(Self { signals, console })
    }

    /// Waits for the end of a child; its exit code, as shells count.
    pub(super) fn wait(self, pid: Pid, pidfd: &OwnedFd) -> Result<u8> {
        let terminal = self.console.map(receive).transpose()?.map(Terminal::new);
        let terminal = terminal.transpose()?;
        let code = 'wait: loop {
            while let Some((ended, code)) = sys::process::reap() {
                if ended == pid {
                    break 'wait code;
                }
            }
            wait_for_news(&self.signals, terminal.as_ref())?;
            while let Some(signal) = self.signals.next().context(|| "read signals")? {
                match signal {
                    SIGCHLD | SIGURG => {}
                    SIGWINCH if terminal.is_some() => terminal.iter().for_each(Terminal::resize),
                    // It may have ended just now, which is seen next.
                    other => drop(sys::pidfd::send_signal(pidfd.as_fd(), other)),
                }
            }
            if let Some(terminal) = &terminal {
                terminal.pass_through();
            }
        };
        if let Some(terminal) = &terminal {
            terminal.drain();
        }
        Ok(u8::try_from(code).unwrap_or(255))
    }
}

fn wait_for_news(signals: &SignalFd, terminal: Option<&Terminal>) -> Result<()> {
    let mut fds = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
    if let Some(terminal) = terminal {
        terminal.wants(&mut fds);
    }
    match poll(&mut fds, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(e) => Err(e).context(|| "poll"),
    }
}

fn receive(console: OwnedFd) -> Result<OwnedFd> {
    let (mut name, mut fds) = ([0; 4096], Vec::new());
    sys::scm::recv_with_fds(&console, &mut name, &mut fds).context(|| "receive the terminal")?;
    fds.pop()
        .ok_or_else(|| Error::State("no terminal came from the container".to_owned()))
}

/// The container's terminal behind ours.
struct Terminal {
    master: OwnedFd,
    /// Ours as it was, if we have one.
    before: Option<Termios>,
    state: std::cell::RefCell<Flow>,
}

/// What goes where, and how far it got.
#[derive(Default)]
struct Flow {
    input_ended: bool,
    output_ended: bool,
    /// Typed, and not taken yet.
    input: Vec<u8>,
}

impl Terminal {
    fn new(master: OwnedFd) -> Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&master).context(|| "the terminal")?;
        rustix::fs::fcntl_setfl(&master, flags | rustix::fs::OFlags::NONBLOCK)
            .context(|| "the terminal")?;
        let stdin = std::io::stdin();
        let before = if stdin.is_terminal() {
            let before = tcgetattr(&stdin).context(|| "the caller's terminal")?;
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(&stdin, OptionalActions::Now, &raw).context(|| "the caller's terminal")?;
            Some(before)
        } else {
            None
        };
        let terminal = Self {
            master,
            before,
            state: std::cell::RefCell::default(),
        };
        terminal.resize();
        Ok(terminal)
    }

    /// Takes over the size of ours.
    fn resize(&self) {
        if let Ok(size) = tcgetwinsize(std::io::stdin()) {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    fn wants<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        let flow = self.state.borrow();
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, !flow.output_ended);
        events.set(PollFlags::OUT, !flow.input.is_empty());
        if !flow.output_ended {
            fds.push(PollFd::new(&self.master, events));
        }
        if !flow.input_ended && flow.input.is_empty() {
            fds.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
        }
    }

    /// Passes on what is there, in both directions, without waiting for more.
    fn pass_through(&self) {
        let flow = &mut *self.state.borrow_mut();
        let mut bytes = [0; 8192];
        if !flow.input_ended && flow.input.is_empty() && readable(stdin()) {
            match rustix::io::read(stdin(), &mut bytes) {
                Ok(0) | Err(Errno::IO) => flow.input_ended = true,
                Ok(n) => flow.input.extend_from_slice(&bytes[..n]),
                Err(_) => {}
            }
        }
        if !flow.input.is_empty() {
            match rustix::io::write(&self.master, &flow.input) {
                Ok(n) => drop(flow.input.drain(..n)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => flow.input.clear(),
            }
        }
        if !flow.output_ended {
            flow.output_ended = !self.output(&mut bytes);
        }
    }

    /// Prints what was said; false when nothing will come any more.
    fn output(&self, bytes: &mut [u8]) -> bool {
        match rustix::io::read(&self.master, &mut *bytes) {
            Ok(n @ 1..) => {
                let mut rest = &bytes[..n];
                while !rest.is_empty() {
                    match rustix::io::write(rustix::stdio::stdout(), rest) {
                        Ok(n) => rest = &rest[n..],
                        Err(Errno::INTR) => {}
                        Err(_) => break,
                    }
                }
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            // Nobody has it open any more.
            Ok(_) | Err(_) => false,
        }
    }

    /// Prints what was said last. Others may still have the terminal open, so only what is there.
    fn drain(&self) {
        let mut bytes = [0; 8192];
        while readable(self.master.as_fd()) && self.output(&mut bytes) {}
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, before);
        }
    }
}

fn stdin() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

fn readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0)
}
