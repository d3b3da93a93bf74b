//! What the shim waits for, and what of it has come.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{conn::BACKLOG, process::Phase, server::Shim};

/// Something the shim waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ready {
    Signal,
    Listener,
    /// A connection, by position.
    Conn(usize, PollFlags),
    /// An output of a process, by key.
    Output(u64, usize),
    /// A process takes more input.
    Input(u64),
    /// An output whose process is gone, by position.
    Orphan(usize),
}

impl Shim {
    /// Waits until something happens, or `milliseconds` have passed.
    pub(crate) fn wait(&self, milliseconds: Option<u64>) -> Vec<Ready> {
        let mut what = Vec::new();
        let mut fds = Vec::new();
        let mut add = |ready, fd, flags| {
            what.push(ready);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        };
        {
            use std::os::fd::AsFd;
            add(Ready::Signal, self.signals.as_fd(), PollFlags::IN);
            if let Some(listener) = self.listener.as_ref().filter(|_| !self.deafened) {
                add(Ready::Listener, listener.as_fd(), PollFlags::IN);
            }
        }
        for (i, conn) in self.conns.iter().enumerate() {
            let mut flags = PollFlags::empty();
            if conn.backlog() > 0 {
                flags |= PollFlags::OUT;
            }
            if !conn.eof && !self.paused(conn) {
                flags |= PollFlags::IN;
            }
            // One from which nothing is wanted just now would report its hanging up again and
            // again; one that only listens must be heard when it hangs up.
            if !flags.is_empty() || (conn.eof && conn.decoder.pending() == 0) {
                add(Ready::Conn(i, PollFlags::empty()), conn.fd(), flags);
            }
        }
        for process in std::iter::once(&self.main).chain(&self.execs) {
            if !matches!(process.phase, Phase::Running(_)) {
                continue;
            }
            for (stream, output) in process.outputs.iter().enumerate() {
                if let Some(output) = output
                    && !self.clogged(process.key, stream)
                {
                    add(
                        Ready::Output(process.key, stream),
                        output.fd(),
                        PollFlags::IN,
                    );
                }
            }
            if let Some(fd) = process.input.blocked_on() {
                add(Ready::Input(process.key), fd, PollFlags::OUT);
            }
        }
        for (i, orphan) in self.orphans.iter().enumerate() {
            add(Ready::Orphan(i), orphan.fd(), PollFlags::IN);
        }

        let timeout = milliseconds.map(|ms| Timespec {
            tv_sec: (ms / 1000) as i64,
            tv_nsec: (ms % 1000) as i64 * 1_000_000,
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Out of memory, most likely: better to come back than to leave a container alone.
            Err(e) => {
                eprintln!("wharf-shim: poll: {e}");
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
        std::iter::zip(what, &fds)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(ready, fd)| match ready {
                Ready::Conn(i, _) => Ready::Conn(i, fd.revents()),
                other => other,
            })
            .collect()
    }

    /// Does a client lag so far behind that this output must wait for it?
    fn clogged(&self, process: u64, stream: usize) -> bool {
        self.conns
            .iter()
            .any(|c| c.takes(process, stream) && c.backlog() >= BACKLOG)
    }
}
