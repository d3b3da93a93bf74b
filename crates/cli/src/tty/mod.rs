//! The user's terminal, and the streams between it and a process.

mod keys;
mod raw;
mod session;
mod signals;

pub(crate) use keys::{Keys, parse_keys};
pub(crate) use raw::{Hidden, Raw, is_terminal, size, size_of};
pub(crate) use session::{End, Session, Writer};
pub(crate) use signals::{Target, forward, nudge, until_ended, watch_size};
