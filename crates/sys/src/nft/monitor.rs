//! Hearing of what others do to the rules.

use std::io;

use super::message;
use crate::netlink::{Attrs, Error, Socket};

const DELTABLE: u16 = message(2);
const GROUP: i32 = 7;
/// Tables, chains and rules that come and go.
const CHANGES: [u16; 6] = [
    message(0),
    DELTABLE,
    message(3),
    message(5),
    message(6),
    message(8),
];

/// What happened to nftables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// A table of our name was deleted.
    pub own_deleted: bool,
    /// A table, a chain or a rule of somebody else's came or went.
    pub others_changed: bool,
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
        Ok(Self(socket))
    }

    /// Waits until something happened to tables, chains or rules that is told here.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn wait(&mut self, own: &str) -> Result<Heard, Error> {
        loop {
            let mut all = Heard::default();
            let heard = self.0.listen(|kind, payload| {
                let name = Attrs(payload.get(4..).unwrap_or_default()).text(1);
                if name == Some(own) {
                    all.own_deleted |= kind == DELTABLE;
                } else if CHANGES.contains(&kind) {
                    all.others_changed = true;
                }
            });
            match heard {
                Ok(()) if all == Heard::default() => {}
                Err(Error::Socket(e)) if !is_overrun(&e) => return Err(e.into()),
                // More happened than could be kept: anything may have.
                Err(_) => {
                    return Ok(Heard {
                        own_deleted: true,
                        others_changed: true,
                    });
                }
                Ok(()) => return Ok(all),
            }
        }
    }
}

fn is_overrun(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::ENOBUFS)
}
