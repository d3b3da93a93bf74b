//! The first process of a container run with `--init`: it starts the program that was asked for,
//! passes signals on to it, reaps what nobody else does, and ends with the program's exit code.
//!
//! `docker-init -- PROGRAM [ARGUMENT]...`

use std::{
    env,
    ffi::OsString,
    io,
    process::{Command, ExitCode},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::Pid,
};
use sys::process::SignalFd;

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).peekable();
    args.next_if(|a| a == "--");
    let args: Vec<OsString> = args.collect();
    let Some((program, rest)) = args.split_first() else {
        eprintln!("docker-init: no program was given: docker-init -- PROGRAM [ARGUMENT]...");
        return ExitCode::from(125);
    };
    match run(program, rest) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("docker-init: cannot run {}: {e}", program.display());
            ExitCode::from(match e.kind() {
                io::ErrorKind::NotFound => 127,
                _ => 126,
            })
        }
    }
}

fn run(program: &OsString, args: &[OsString]) -> io::Result<u8> {
    let signals = SignalFd::block_all()?;
    // With the host's process namespace we are not its first process, and orphans would pass us by.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let child = sys::process::spawn_foreground(Command::new(program).args(args))?;
    let child = Pid::from_child(&child);
    loop {
        let mut fds = [PollFd::new(&signals, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut reaping = false;
        while let Some(signal) = signals.next()? {
            match signal {
                libc_signals::SIGCHLD => reaping = true,
                // Meant for a process that touches a terminal from the background; we do not.
                libc_signals::SIGTTIN | libc_signals::SIGTTOU => {}
                // It may just have ended.
                signal => drop(sys::process::kill(child, signal)),
            }
        }
        while reaping && let Some((pid, code)) = sys::process::reap() {
            if pid == child {
                return Ok(u8::try_from(code).unwrap_or(u8::MAX));
            }
        }
    }
}

/// The three signals this program tells from the others.
mod libc_signals {
    use rustix::process::Signal;

    pub(crate) const SIGCHLD: i32 = Signal::CHILD.as_raw();
    pub(crate) const SIGTTIN: i32 = Signal::TTIN.as_raw();
    pub(crate) const SIGTTOU: i32 = Signal::TTOU.as_raw();
}
