//! Hearing of what others do to the rules.

use std::io;

use super::message;
use crate::netlink::{Attrs, Error, Socket};

const DELTABLE: u16 = message(2);
const DELCHAIN: u16 = message(5);
const GROUP: i32 = 7;
/// Bytes of messages that are kept until they are read.
const BACKLOG: usize = 8 << 20;
/// How long [`Monitor::wait`] waits at most.
pub const TICK: std::time::Duration = std::time::Duration::from_secs(2);
/// Tables, chains and rules that come and go.
const CHANGES: [u16; 6] = [
    message(0),
    DELTABLE,
    message(3),
    DELCHAIN,
    message(6),
    message(8),
];
/// Sets and their elements that come and go.
const SETS: [u16; 4] = [message(9), message(11), message(12), message(14)];

/// What happened to nftables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Somebody else changed or deleted a table of our name.
    pub own_changed: bool,
    /// Somebody else deleted the table of the other name that is watched, or a chain in it.
    pub kept_deleted: bool,
    /// A table, a chain or a rule of somebody else's came or went.
    pub others_changed: bool,
}

/// Whose doings are which.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Our table, which nobody else is to change.
    pub table: &'a str,
    /// A table that others fill, and that is to be there.
    pub kept: &'a str,
    /// The socket ([`Socket::port`]) that our own changes are made by.
    pub port: u32,
}

/// Hears what anyone does to nftables in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Monitor(Socket);

impl Monitor {
    /// Starts to listen: nothing that happens after this is missed.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::netfilter()?;
        socket.join(GROUP)?;
        // A whole ruleset that goes is told of in thousands of messages, and ours that comes back in as many.
        // Where that is not allowed, what is lost is looked for.
        let _ = socket.hold(BACKLOG);
        socket.wait_at_most(TICK)?;
        Ok(Self(socket))
    }

    /// Waits until something happened to tables, chains or rules that is told here, or until [`TICK`] is
    /// over: then nothing did.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn wait(&mut self, own: Own<'_>) -> Result<Heard, Error> {
        let mut all = Heard::default();
        let heard = self.0.listen(|kind, port, payload| {
            let name = Attrs(payload.get(4..).unwrap_or_default()).text(1);
            let ours = port == own.port;
            if name == Some(own.table) {
                let changes = CHANGES.contains(&kind) || SETS.contains(&kind);
                all.own_changed |= changes && !ours;
            } else if CHANGES.contains(&kind) {
                let gone = matches!(kind, DELTABLE | DELCHAIN);
                all.kept_deleted |= name == Some(own.kept) && gone && !ours;
                all.others_changed = true;
            }
        });
        match heard {
            Ok(()) => Ok(all),
            Err(Error::Socket(e)) if !is_overrun(&e) => Err(e.into()),
            // More happened than could be kept: anything may have. The kernel keeps nothing more before
            // what it did keep is read.
            Err(_) => {
                let again = |e: Error| matches!(&e, Error::Socket(e) if is_overrun(e));
                while self.0.listen(|_, _, _| {}).is_err_and(again) {}
                Ok(Heard {
                    own_changed: true,
                    kept_deleted: true,
                    others_changed: true,
                })
            }
        }
    }
}

fn is_overrun(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::ENOBUFS)
}
