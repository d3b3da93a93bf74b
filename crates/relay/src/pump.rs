//! One direction of a connection: from a socket through a pipe to a socket, without the bytes ever
//! coming here.
//!
//! A pipe is had only while something is in it, so that idle connections have none. Nothing is read while
//! something waits to be written: no more than one pipe full is ever held.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

use crate::limits::{PIECE, PIECES, SPARE_PIPES};

/// A pipe that is empty when nobody has it.
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// Pipes for whoever needs one.
#[derive(Default)]
pub(crate) struct Pipes(Vec<Pipe>);

impl Pipes {
    fn take(&mut self) -> io::Result<Pipe> {
        if let Some(pipe) = self.0.pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Pipe { read, write })
    }

    fn give(&mut self, pipe: Pipe) {
        if self.0.len() < SPARE_PIPES {
            self.0.push(pipe);
        }
    }
}

/// Which end of a connection is broken.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Nothing more comes, and not by a proper end.
    From,
    /// Nothing more is taken.
    To,
}

/// A direction.
#[derive(Default)]
pub(crate) struct Pump {
    pipe: Option<Pipe>,
    /// So much is in the pipe.
    held: usize,
    /// Who sends says no more.
    ended: bool,
    /// It was passed on that there is no more, or nobody wants to know.
    done: bool,
    /// What is not there by now will not come any more.
    last: bool,
    /// There is no pipe to be had just now.
    short: bool,
}

impl Pump {
    /// Moves what can be moved, and passes the end on.
    pub(crate) fn run(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        pipes: &mut Pipes,
    ) -> Result<(), Broken> {
        for _ in 0..PIECES {
            if self.done {
                return Ok(());
            }
            if self.held == 0 {
                if !self.fill(from, pipes)? {
                    return Ok(());
                }
                // At once, as nothing would wake us for it later.
                if self.ended {
                    self.done = true;
                    return shutdown(to, Shutdown::Write).map_err(|_| Broken::To);
                }
            } else if !self.empty(to, pipes)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes something in; false if there is nothing now.
    fn fill(&mut self, from: BorrowedFd<'_>, pipes: &mut Pipes) -> Result<bool, Broken> {
        let pipe = match self.pipe.take() {
            Some(pipe) => pipe,
            None => match pipes.take() {
                Ok(pipe) => pipe,
                Err(_) => {
                    self.short = true;
                    return Ok(false);
                }
            },
        };
        self.short = false;
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let got = splice(from, None, &pipe.write, None, PIECE, flags);
        match got {
            Ok(0) => self.ended = true,
            Ok(len) => {
                self.held = len;
                self.pipe = Some(pipe);
                return Ok(true);
            }
            Err(Errno::AGAIN) if self.last => self.ended = true,
            Err(Errno::AGAIN) => {}
            Err(Errno::INTR) => {
                pipes.give(pipe);
                return Ok(true);
            }
            Err(_) => return Err(Broken::From),
        }
        pipes.give(pipe);
        Ok(self.ended)
    }

    /// Passes on what is held; false if no more is taken now.
    fn empty(&mut self, to: BorrowedFd<'_>, pipes: &mut Pipes) -> Result<bool, Broken> {
        let Some(pipe) = self.pipe.take() else {
            self.held = 0;
            return Ok(true);
        };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match splice(&pipe.read, None, to, None, self.held, flags) {
            Ok(0) => return Err(Broken::To),
            Ok(len) => self.held = self.held.saturating_sub(len),
            Err(Errno::AGAIN) => {
                self.pipe = Some(pipe);
                return Ok(false);
            }
            Err(Errno::INTR) => {}
            Err(_) => return Err(Broken::To),
        }
        if self.held > 0 {
            self.pipe = Some(pipe);
        } else {
            pipes.give(pipe);
        }
        Ok(true)
    }

    /// Moves nothing more.
    pub(crate) fn stop(&mut self) {
        self.done = true;
        self.short = false;
        self.held = 0;
        self.pipe = None;
    }

    /// Takes what is there, and then it is over.
    pub(crate) fn finish(&mut self) {
        self.last = true;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Does it wait for who sends?
    pub(crate) fn reads(&self) -> bool {
        !self.done && !self.ended && self.held == 0 && !self.short
    }

    /// Is it to be tried again, though nothing will say so?
    pub(crate) fn is_short(&self) -> bool {
        self.short
    }

    /// Does it wait for who receives?
    pub(crate) fn writes(&self) -> bool {
        !self.done && self.held > 0
    }
}
