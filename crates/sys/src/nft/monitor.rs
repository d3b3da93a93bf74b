//! Hearing of tables that are deleted.

use std::io;

use super::message;
use crate::netlink::{Attrs, Error, Socket};

const DELTABLE: u16 = message(2);
const GROUP: i32 = 7;

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

    /// Waits until a table of that name was deleted, or may have been: more happened than could
    /// be kept.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn deleted(&mut self, table: &str) -> Result<(), Error> {
        loop {
            let mut hit = false;
            let heard = self.0.listen(|kind, payload| {
                let name = Attrs(payload.get(4..).unwrap_or_default()).text(1);
                hit |= kind == DELTABLE && name == Some(table);
            });
            match heard {
                Ok(()) if !hit => {}
                Err(Error::Socket(e)) if !is_overrun(&e) => return Err(e.into()),
                _ => return Ok(()),
            }
        }
    }
}

fn is_overrun(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::ENOBUFS)
}
